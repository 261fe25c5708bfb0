use jiff::civil::Date;
use serde_json::{Map, Value, json};

use crate::{analytics::export::csv_text, usage::Money};

use super::{
    focus_group::{FocusGroup, FocusSums},
    focus_meter::FocusMeter,
};

/// A row of the export.
pub(super) struct FocusRecord<'a> {
    pub(super) group: &'a FocusGroup,
    pub(super) meter: FocusMeter,
    pub(super) sums: FocusSums,
    pub(super) billing_account_id: &'a str,
}

impl FocusRecord<'_> {
    /// Returns the value of a column. `None` is the empty cell of a value that does not apply.
    pub(super) fn value(&self, column: &str) -> Option<String> {
        let fixed = |text: &str| Some(text.to_owned());
        match column {
            "BilledCost" | "ContractedCost" | "EffectiveCost" | "ListCost" | "PricingCurrencyEffectiveCost" => {
                Some(decimal(self.sums.cost.to_string()))
            }
            "ContractedUnitPrice"
            | "ListUnitPrice"
            | "PricingCurrencyContractedUnitPrice"
            | "PricingCurrencyListUnitPrice" => Some(decimal(self.unit_price().to_string())),
            "BillingAccountId" | "BillingAccountName" => Some(guarded(self.billing_account_id)),
            "BillingAccountType" => fixed("Billing Account"),
            "BillingCurrency" | "PricingCurrency" => fixed("USD"),
            "BillingPeriodStart" => Some(start_of(self.group.day.first_of_month())),
            "BillingPeriodEnd" => Some(start_of(self.group.day.last_of_month().tomorrow().ok()?)),
            "ChargePeriodStart" => Some(start_of(self.group.day)),
            "ChargePeriodEnd" => Some(start_of(self.group.day.tomorrow().ok()?)),
            "ChargeCategory" => fixed("Usage"),
            "ChargeFrequency" => fixed("Usage-Based"),
            "ChargeDescription" => Some(guarded(&format!("{}: {}", self.model(), self.meter))),
            "ConsumedQuantity" => Some(decimal(self.sums.quantity.to_string())),
            "ConsumedUnit" => fixed(self.meter.unit()),
            "PricingQuantity" => Some(decimal(fraction(self.sums.quantity, self.meter.pricing_block()))),
            "PricingUnit" => fixed(self.meter.pricing_unit()),
            "PricingCategory" => fixed("Standard"),
            "InvoiceIssuerName" | "ProviderName" | "PublisherName" => Some(guarded(&self.provider())),
            "ServiceCategory" => fixed("AI and Machine Learning"),
            "ServiceSubcategory" => fixed("Generative AI"),
            "ServiceName" => Some(guarded(&format!("{} API", self.provider()))),
            "SkuId" | "SkuPriceId" => Some(guarded(&self.sku())),
            "SkuMeter" => Some(self.meter.to_string()),
            "SkuPriceDetails" => Some(json!({"x_Model": self.model()}).to_string()),
            "SubAccountId" | "SubAccountName" => self.group.workspace.as_deref().map(guarded),
            "SubAccountType" => self.group.workspace.as_ref().map(|_| "Workspace".to_owned()),
            "Tags" => Some(self.tags()),
            "x_CostStatus" => self.group.cost_status.clone(),
            "x_Model" => self.group.model.as_deref().map(guarded),
            "x_PriceSource" => self.group.price_source.as_deref().map(guarded),
            "x_RequestCount" => Some(self.sums.requests.to_string()),
            _ => None,
        }
    }

    fn model(&self) -> &str {
        self.group.model.as_deref().unwrap_or("unknown model")
    }

    /// Returns the name of the provider as invoices have it, or else its id in the price catalog.
    fn provider(&self) -> String {
        let name = match self.group.provider.as_deref() {
            None => "Unknown Provider",
            Some("openai") => "OpenAI",
            Some("anthropic") => "Anthropic",
            Some("google") => "Google",
            Some("aws") => "AWS",
            Some("azure") => "Microsoft",
            Some("mistral") => "Mistral AI",
            Some("cohere") => "Cohere",
            Some("groq") => "Groq",
            Some("deepseek") => "DeepSeek",
            Some("openrouter") => "OpenRouter",
            Some("x-ai") => "xAI",
            Some("perplexity") => "Perplexity",
            Some(id) => id,
        };
        name.to_owned()
    }

    fn sku(&self) -> String {
        let provider = self.group.provider.as_deref().unwrap_or("unknown");
        format!("{provider}/{}/{}", self.model(), self.meter)
    }

    fn tags(&self) -> String {
        let tags = self.group.tags.iter().map(|(key, value)| (key.clone(), Value::String(value.clone())));
        Value::Object(tags.collect::<Map<_, _>>()).to_string()
    }

    /// Returns the average price of a pricing unit, rounded to the nearest nano-dollar.
    fn unit_price(&self) -> Money {
        let (quantity, block) = (u128::from(self.sums.quantity), u128::from(self.meter.pricing_block()));
        let scaled = u128::from(self.sums.cost.nano_usd()) * block;
        let nanos = (scaled + quantity / 2).checked_div(quantity).unwrap_or(0);
        Money::from_nano_usd(u64::try_from(nanos).unwrap_or(u64::MAX))
    }
}

fn start_of(day: Date) -> String {
    format!("{day}T00:00:00Z")
}

/// Returns `quantity / block` as an exact decimal number. The block is a power of ten.
fn fraction(quantity: u64, block: u64) -> String {
    if block <= 1 {
        return quantity.to_string();
    }
    let digits = block.ilog10() as usize;
    let text = format!("{}.{:0digits$}", quantity / block, quantity % block);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// Adds a decimal point to a whole number, so that readers which guess types take the column for decimal numbers.
fn decimal(number: String) -> String {
    if number.contains('.') { number } else { number + ".0" }
}

/// Prevents a spreadsheet from taking a text as a formula.
fn guarded(text: &str) -> String {
    csv_text(text).into_owned()
}

#[cfg(test)]
mod tests {
    use super::{fraction, guarded};

    #[test]
    fn divides_exactly() {
        let fractions = [(1_234, 1_000_000), (1_500_000, 1_000_000), (0, 1_000_000), (7, 1)];
        assert_eq!(fractions.map(|(quantity, block)| fraction(quantity, block)), ["0.001234", "1.5", "0", "7"]);
    }

    #[test]
    fn guards_formulas() {
        assert_eq!([guarded("=1+1"), guarded("@cf/llama"), guarded("gpt-4o")], ["'=1+1", "'@cf/llama", "gpt-4o"]);
    }
}
