use std::{borrow::Cow, fmt};

macro_rules! operations {
    ($($(#[$doc:meta])+ $variant:ident => $name:literal;)+) => {
        /// The kind of work that an LLM API was asked to do.
        #[derive(Clone, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum Operation {
            $($(#[$doc])+ $variant,)+
            /// Any other operation, under a name that you choose.
            Other(Cow<'static, str>),
        }

        impl Operation {
            /// Returns the name used in serialized events, such as `generate_content`.
            pub fn as_str(&self) -> &str {
                match self {
                    $(Self::$variant => $name,)+
                    Self::Other(name) => name,
                }
            }

            /// Returns the operation with this name, or [`Operation::Other`] if the name is not a known one.
            pub(super) fn of_name(name: &str) -> Self {
                match name {
                    $($name => Self::$variant,)+
                    _ => Self::Other(name.to_owned().into()),
                }
            }
        }
    };
}

operations! {
    /// A chat completion in the format of OpenAI, Mistral, Cohere v2, Ollama, and others.
    Chat => "chat";
    /// An OpenAI response.
    Responses => "responses";
    /// Embeddings.
    Embeddings => "embeddings";
    /// Image generation or editing.
    Images => "images";
    /// A text completion without a chat.
    Completions => "completions";
    /// An Anthropic message.
    Messages => "messages";
    /// `generateContent` of Gemini or Vertex AI, streamed or not.
    GenerateContent => "generate_content";
    /// A Gemini interaction.
    Interactions => "interactions";
    /// Bedrock `Converse`.
    Converse => "converse";
    /// Bedrock `InvokeModel`.
    InvokeModel => "invoke_model";
    /// Ollama `generate`.
    Generate => "generate";
    /// Audio transcription or translation.
    Transcription => "transcription";
    /// Speech synthesis.
    Speech => "speech";
    /// Text recognition in documents.
    Ocr => "ocr";
    /// Document reranking.
    Rerank => "rerank";
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::Operation;

    #[test]
    fn names_round_trip() {
        for name in ["chat", "generate_content", "ocr", "my_operation"] {
            assert_eq!(Operation::of_name(name).as_str(), name);
        }
        assert_eq!(Operation::of_name("chat"), Operation::Chat);
    }
}
