/**
 * Owns the key this page signs in with. It arrives once in the fragment of the printed address (`#key=...`, which no
 * browser sends to a server), moves to sessionStorage and leaves the address, so that a shared link carries no key.
 */

const STORAGE_NAME = 'kymo-key';

/** Moves a key from the address to the tab's storage, before the router reads the address. True when there was one. */
export function takeKeyFromAddress(): boolean {
  const fields = new URLSearchParams(location.hash.slice(1));
  const key = fields.get('key');
  if (key === null || key === '') return false;
  rememberKey(key);
  fields.delete('key');
  const rest = fields.toString();
  history.replaceState(
    history.state,
    '',
    `${location.pathname}${location.search}${rest === '' ? '' : `#${rest}`}`,
  );
  return true;
}

export function accessKey(): string | null {
  return sessionStorage.getItem(STORAGE_NAME);
}

export function rememberKey(key: string): void {
  sessionStorage.setItem(STORAGE_NAME, key);
}

export function forgetKey(): void {
  sessionStorage.removeItem(STORAGE_NAME);
}
