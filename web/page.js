() => {
  // What changes without a reload is read out.
  for (const id of ["answer", "thanks"]) document.getElementById(id)?.setAttribute("aria-live", "polite");

  // A picture pasted anywhere on the page goes the way of an uploaded one.
  document.addEventListener("paste", (event) => {
    const pasted = [...(event.clipboardData?.files ?? [])].find((file) => file.type.startsWith("image/"));
    const input = document.querySelector("#photo input[type=file]");
    if (!pasted || !input) return;
    event.preventDefault();
    const transfer = new DataTransfer();
    transfer.items.add(new File([pasted], "clipboard.png", { type: pasted.type }));
    input.files = transfer.files;
    input.dispatchEvent(new Event("change", { bubbles: true }));
  });
}
