/** Owns that of links which are wider than the screen, the one of the page that is shown stands in view. */

/** Scrolls `nav` sideways to the link that is current. `shown` is what changes when another one is. */
export function showChosen(nav: HTMLElement | null, shown: string): void {
  const chosen = nav?.querySelector<HTMLElement>('[aria-current="page"]') ?? null;
  if (nav === null || chosen === null || shown === '') return;
  nav.scrollLeft = chosen.offsetLeft - nav.offsetLeft - (nav.clientWidth - chosen.clientWidth) / 2;
}
