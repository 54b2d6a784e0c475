// Buttons of the page that only the browser can carry out, and what the server must know of the window.
// data: { language, started: id of the server's process, wall, wide: pixels, words }

function button(words, icon, act) {
  const made = document.createElement("button");
  made.type = "button";
  made.className = "ventes-tool";
  made.title = words;
  made.setAttribute("aria-label", words);
  made.innerHTML = icon;
  const text = document.createElement("span");
  text.textContent = words;
  made.appendChild(text);
  made.addEventListener("click", act);
  return made;
}

const icon = (path) => `<svg viewBox="0 0 24 24" width="18" height="18" fill="none" stroke="currentColor"
  stroke-width="2" stroke-linecap="round" stroke-linejoin="round" aria-hidden="true">${path}</svg>`;
const LINK = icon('<path d="M10 14a5 5 0 0 0 7 0l3-3a5 5 0 0 0-7-7l-1 1M14 10a5 5 0 0 0-7 0l-3 3a5 5 0 0 0 7 7l1-1"/>');
const PRINTER = icon('<path d="M7 8V3h10v5M7 17H4v-7h16v7h-3M7 14h10v7H7z"/>');
const WALL = icon('<path d="M3 4h18v12H3zM8 21h8M12 16v5"/>');

// Without HTTPS a browser has no clipboard for scripts: then the link is there to be copied by hand.
async function share(row, words, pressed) {
  row.querySelector(".ventes-link")?.remove();
  try {
    await navigator.clipboard.writeText(location.href);
    const label = pressed.querySelector("span");
    label.textContent = words.copied;
    setTimeout(() => { label.textContent = words.share; }, 2000);
  } catch {
    const field = document.createElement("input");
    field.className = "ventes-link";
    field.readOnly = true;
    field.value = location.href;
    field.setAttribute("aria-label", words.link);
    field.title = words.link;
    row.prepend(field);
    field.focus();
    field.select();
    field.addEventListener("blur", () => field.remove());
  }
}

function wallAddress() {
  const address = new URL(location.href);
  address.searchParams.set("view", "wall");
  return address.href;
}

function draw(root, data) {
  const { words } = data;
  root.replaceChildren();
  const row = document.createElement("div");
  row.className = "ventes-tools";
  root.appendChild(row);
  const shareButton = button(words.share, LINK, () => share(row, words, shareButton));
  row.append(
    shareButton,
    button(words.print, PRINTER, () => window.print()),
    button(words.wall, WALL, () => location.assign(wallAddress())),
  );
}

// A wall has nobody to click.
function noticeNewServer(root, data) {
  window.ventesLoadedFrom ??= data.started; // the first server of this document
  if (window.ventesLoadedFrom === data.started || root.querySelector(".ventes-newer")) return;
  if (data.wall) { location.reload(); return; }
  const notice = document.createElement("div");
  notice.className = "ventes-newer";
  notice.setAttribute("role", "status");
  notice.append(data.words.newer, " ");
  const reload = document.createElement("button");
  reload.type = "button";
  reload.textContent = data.words.reload;
  reload.addEventListener("click", () => location.reload());
  notice.appendChild(reload);
  root.appendChild(notice);
}

// Streamlit's tables write numbers in the first of the browser's languages, whatever page.language says.
function writeNumbersIn(language) {
  const own = navigator.languages;
  if (own[0]?.split("-")[0] === language) return;
  Object.defineProperty(navigator, "languages", { configurable: true, value: Object.freeze([language, ...own]) });
}

export default function ({ data, parentElement, setStateValue }) {
  let root = parentElement.querySelector(".ventes-page-tools");
  if (!root) {
    root = document.createElement("div");
    root.className = "ventes-page-tools";
    parentElement.appendChild(root);
  }
  if (root.dataset.language !== data.language) {
    root.dataset.language = data.language;
    document.documentElement.lang = data.language;
    writeNumbersIn(data.language);
    draw(root, data);
  }
  noticeNewServer(root, data);
  const wide = window.matchMedia(`(min-width: ${data.wide}px)`);
  const tell = () => {
    if (root.dataset.wide === String(wide.matches)) return;
    const first = root.dataset.wide === undefined;
    root.dataset.wide = String(wide.matches);
    if (!first || wide.matches) setStateValue("wide", wide.matches); // the server begins with a narrow one
  };
  tell();
  wide.addEventListener("change", tell);
  return () => wide.removeEventListener("change", tell);
}
