"use strict";
// Everything works without this file. It adds times in the reader's own zone, buttons that copy, and a page that stays fresh.

const REFRESH_MS = 15_000;
const KEY = "tower-tagging-refresh";

function button(text, onClick) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "small";
  button.textContent = text;
  button.addEventListener("click", onClick);
  return button;
}

function enhance(root) {
  for (const time of root.querySelectorAll("time[datetime]")) {
    time.title = new Date(time.dateTime).toLocaleString();
  }
  if (navigator.clipboard) {
    for (const element of root.querySelectorAll("[data-copy]")) {
      const copy = button("Copy", async () => {
        await navigator.clipboard.writeText(element.textContent);
        copy.textContent = "Copied";
        setTimeout(() => { copy.textContent = "Copy"; }, 1_500);
      });
      copy.setAttribute("aria-label", `Copy ${element.dataset.copy}`);
      element.after(" ", copy);
    }
  }
  const trust = root.querySelector(".trust");
  if (trust) {
    const toggle = button("Auto-refresh", () => {
      sessionStorage.setItem(KEY, isOn() ? "off" : "on");
      toggle.setAttribute("aria-pressed", String(isOn()));
      refresh();
    });
    toggle.setAttribute("aria-pressed", String(isOn()));
    trust.append(toggle);
  }
}

function isOn() {
  return sessionStorage.getItem(KEY) === "on";
}

let isLoading = false;
let refreshed = new Date();

// The next attempt may succeed, and then replaces this note.
function showFailure(main) {
  const trust = main.querySelector(".trust");
  if (!trust) return;
  let note = trust.querySelector(".stale");
  if (!note) {
    note = document.createElement("span");
    note.className = "warn stale";
    trust.append(note);
  }
  note.textContent = `Not refreshed since ${refreshed.toLocaleTimeString()}`;
}

async function refresh() {
  const main = document.querySelector("main");
  // Hidden pages, and pages with the focus or an open part, stay as they are.
  const focus = main.contains(document.activeElement) && !document.activeElement.closest(".trust");
  const isBusy = document.hidden || isLoading || focus || main.querySelector("details[open]");
  if (isBusy || !isOn()) return;
  isLoading = true;
  try {
    const response = await fetch(location.href);
    if (!response.ok || response.redirected) return showFailure(main);
    const page = new DOMParser().parseFromString(await response.text(), "text/html");
    const fresh = page.querySelector("main");
    if (!fresh) return showFailure(main);
    const focused = Boolean(document.activeElement?.closest(".trust"));
    main.replaceChildren(...fresh.childNodes);
    enhance(main);
    refreshed = new Date();
    if (focused) main.querySelector(".trust button")?.focus();
  } catch {
    showFailure(main);
  } finally {
    isLoading = false;
  }
}

if (document.querySelector("main .trust")) {
  setInterval(refresh, REFRESH_MS);
  document.addEventListener("visibilitychange", refresh);
}
enhance(document);
