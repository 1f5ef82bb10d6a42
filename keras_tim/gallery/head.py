"""What the gallery's page has in its head: how it looks, and what keys do."""

# Keys do nothing in fields that need them themselves; elsewhere they press
# buttons.
HEAD = """<style>
#keras-tim-alternatives .grid-wrap, #keras-tim-favourites .grid-wrap {
  height: auto !important; min-height: 0; max-height: 70vh;
}
#keras-tim-alternatives .grid-container, #keras-tim-favourites .grid-container {
  grid-template-columns: repeat(auto-fill, minmax(140px, 1fr));
}
#keras-tim-alternatives .caption-label, #keras-tim-favourites .caption-label {
  max-width: 100%;
}
.keras-tim-row {flex-wrap: nowrap; gap: 8px;}
.keras-tim-row button {min-width: 0; padding-left: 4px; padding-right: 4px;}
/* What happens, and Stop, are in sight wherever on the page one is. */
.gradio-container {overflow: clip !important;}
#keras-tim-doing {
  position: sticky; top: 0; z-index: 20; align-items: center;
  min-height: 44px; background: var(--body-background-fill);
}
#keras-tim-doing button {max-width: 120px;}
/* Digits are looked at larger than they are. */
#keras-tim-chosen img, #keras-tim-close img, .keras-tim-framed img {
  min-width: min(75vw, 320px); object-fit: contain;
}
.keras-tim-framed .image-frame {
  position: relative; width: fit-content; margin: auto;
}
@media (pointer: coarse) {#keras-tim-keys {display: none;}}
</style>
<script>
// What was clicked takes no keys; what Tab has reached does.
document.addEventListener("click", (event) => {
  if (event.detail) event.target.closest?.("button")?.blur();
});
document.addEventListener("keydown", (event) => {
  const inside = (which) => event.target.closest?.(which);
  const fields = "input, textarea, select, canvas, [contenteditable]";
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (inside(fields) || inside("[role=tab], [role=listbox]")) return;
  // They press what is focused; a picture was chosen by that already.
  const pressed = inside("button, a") && !inside("#keras-tim-alternatives");
  if ("Enter ".includes(event.key) && pressed) return;
  // Of a picture that is too large yet to be saved the whole is made first.
  const names = {ArrowLeft: ["previous"], ArrowRight: ["next"],
                 f: ["favourite"], " ": ["swap"], Enter: ["whole", "save"]};
  const button = (names[event.key] ?? [])
    .map((name) => document.getElementById("keras-tim-" + name))
    .find((found) => found?.offsetParent);
  if (!button) return;
  event.preventDefault();
  button.click();
});
</script>"""
