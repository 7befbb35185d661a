/**
 * Owns the secrets that arrive in the fragment of an address, which no browser sends to a server: an access key
 * (`#key=...`) moves to the tab's storage; what is used once (a sign-in link, a set-up, an invitation, a password reset) is
 * kept in memory until a page has used it. All leave the address at once, so that a shared link carries none.
 */

const STORAGE_NAME = 'kymo-key';

const onceKinds = ['link', 'setup', 'invitation', 'reset'] as const;

export interface OnceSecret {
  readonly kind: (typeof onceKinds)[number];
  readonly secret: string;
}

let once: OnceSecret | null = null;
const watchers = new Set<() => void>();

/** Takes what the address carries, before the router reads it. True when there was something. */
export function takeSecretsFromAddress(): boolean {
  const fields = new URLSearchParams(location.hash.slice(1));
  const key = take(fields, 'key');
  const secrets = onceKinds.flatMap((kind) => {
    const secret = take(fields, kind);
    return secret === null ? [] : [{ kind, secret }];
  });
  if (key === null && secrets.length === 0) return false;
  if (key !== null) rememberKey(key);
  if (secrets[0] !== undefined) setOnceSecret(secrets[0]);
  const rest = fields.toString();
  const hash = rest === '' ? '' : `#${rest}`;
  history.replaceState(history.state, '', `${location.pathname}${location.search}${hash}`);
  return true;
}

function take(fields: URLSearchParams, name: string): string | null {
  const value = fields.get(name);
  fields.delete(name);
  return value === '' ? null : value;
}

/** What came with the address and was not used yet. */
export function onceSecret(): OnceSecret | null {
  return once;
}

/** Null when it was used. */
export function setOnceSecret(secret: OnceSecret | null): void {
  once = secret;
  for (const watcher of watchers) watcher();
}

export function watchOnceSecret(watcher: () => void): () => void {
  watchers.add(watcher);
  return () => void watchers.delete(watcher);
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

/** Scripts cannot read the cookie of a sign-in; this says only that there was one in this browser. */
const SIGNED_IN_NAME = 'kymo-signed-in';

export function rememberSignedIn(isSignedIn: boolean): void {
  if (isSignedIn) localStorage.setItem(SIGNED_IN_NAME, 'yes');
  else localStorage.removeItem(SIGNED_IN_NAME);
}

/** Whether it is worth asking who looks: with a key, or where somebody was signed in when the page was last open. */
export function maySomebodyBeSignedIn(): boolean {
  return accessKey() !== null || localStorage.getItem(SIGNED_IN_NAME) !== null;
}

/** What a request for a file shows who asks with: the key, or nothing where a cookie does it. */
export function authorizationHeader(): Record<string, string> {
  const key = accessKey();
  return key === null ? {} : { authorization: `Bearer ${key}` };
}
