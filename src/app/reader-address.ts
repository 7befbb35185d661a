/** Owns how a reader gets to the database: the owner's address with another login, as a URL and as psql's words. Pure. */

export interface ReaderAddress {
  readonly psql: string;
  /** With the password in it. */
  readonly url: string;
}

/** `ownerUrl` as in DATABASE_URL; the host may be a socket's folder, in its place or as a parameter. */
export function readerAddress(
  ownerUrl: string,
  { role, password }: { role: string; password: string },
): ReaderAddress {
  const url = new URL(ownerUrl);
  const own = {
    host: decodeURIComponent(url.hostname),
    port: url.port,
    dbname: decodeURIComponent(url.pathname.slice(1)),
  };
  const given = Object.fromEntries(
    [...url.searchParams].filter(([name]) => name !== 'user' && name !== 'password'),
  );
  const words: Record<string, string> = {
    host: own.host,
    port: own.port === '' ? '5432' : own.port,
    dbname: own.dbname === '' ? decodeURIComponent(url.username) : own.dbname,
    ...given,
    user: role,
  };
  url.username = role;
  url.password = password;
  for (const name of ['user', 'password']) url.searchParams.delete(name);
  return {
    psql: `psql "${Object.entries(words)
      .map(([name, value]) => `${name}=${quoted(value)}`)
      .join(' ')}"`,
    url: url.href,
  };
}

/** As libpq reads its connection strings (PostgreSQL documentation, "Keyword/Value Connection Strings"). */
function quoted(value: string): string {
  return /^[\w./:@+-]+$/.test(value) ? value : `'${value.replaceAll(/[\\']/g, String.raw`\$&`)}'`;
}
