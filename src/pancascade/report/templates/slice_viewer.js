"use strict";
{
  const by = (id) => document.getElementById(id);
  const slices = JSON.parse(by("viewer-slices").textContent), slider = by("viewer-slice");
  const show = () => {
    const [title, address, organ, tumour] = slices[slider.value];
    by("viewer-picture").setAttribute("href", address);
    by("viewer-organ").setAttribute("d", organ);
    by("viewer-tumour").setAttribute("d", tumour);
    by("viewer-title").textContent = title;
  };
  for (const controls of document.querySelectorAll(".controls")) controls.hidden = false;
  slider.addEventListener("input", show);
  by("viewer").addEventListener("wheel", (event) => {
    event.preventDefault();
    slider.value = Number(slider.value) + (event.deltaY < 0 ? 1 : -1);
    show();
  }, { passive: false });
  by("viewer-on").addEventListener("change", (event) => { by("viewer-contours").style.display = event.target.checked ? "" : "none"; });
  by("viewer-window").addEventListener("change", (event) => { by("viewer-picture").setAttribute("filter", `url(#window-${event.target.value})`); });
}
