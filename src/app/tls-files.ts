/**
 * Owns the certificate and key of a server that ends TLS itself: read and checked as a pair before they serve, and read
 * again when the files change or SIGHUP asks for it, so that a renewal needs no restart. A pair that does not fit keeps
 * the old one serving; renewing tools replace the two files one after the other.
 */

import { createPrivateKey, X509Certificate, type KeyObject } from 'node:crypto';
import { readFileSync, statSync } from 'node:fs';
import type { Server as TlsServer } from 'node:https';
import { createSecureContext } from 'node:tls';

import type { Clock } from '#base/clock.ts';
import { AppError, messageOf } from '#base/errors.ts';
import type { Log } from '#base/log.ts';
import type { Config } from '#app/config.ts';

/** Certificates are renewed weeks ahead, so a minute is soon. */
const CHECK_MS = 60_000;

export interface TlsPair {
  readonly cert: Buffer;
  readonly key: Buffer;
  readonly facts: CertificateFacts;
}

export interface CertificateFacts {
  /** Host names and addresses that the certificate is for. */
  readonly names: readonly string[];
  readonly validFromMs: number;
  readonly validToMs: number;
  /** Whether a client that connects to `host` accepts the name. */
  readonly isFor: (host: string) => boolean;
}

/** The pair that the configuration names; null without TLS. Throws AppError `invalid-field` when it cannot serve. */
export function readTlsPair(config: Config): TlsPair | null {
  if (config['tls-cert'] === '' || config['tls-key'] === '') return null;
  const cert = readPem(config, 'tls-cert');
  const key = readPem(config, 'tls-key');
  const certificate = parse(
    config,
    'tls-cert',
    'holds no certificate in PEM form',
    () => new X509Certificate(cert),
  );
  const privateKey = parse(config, 'tls-key', 'holds no private key in PEM form without a passphrase', () =>
    createPrivateKey(key),
  );
  refuseForeignKey(config, certificate, privateKey);
  parse(config, 'tls-cert', 'cannot be used', () => createSecureContext({ cert, key }));
  return { cert, key, facts: factsOf(certificate) };
}

export interface TlsReload {
  /** What every new TLS server is given to be kept current. */
  readonly serve: (server: TlsServer) => void;
  /** Looks at the files now, whether they look changed or not. */
  reload(): void;
  stop(): void;
}

/** Keeps the servers' certificate current. */
export function createTlsReload(options: { config: Config; clock: Clock; log: Log }): TlsReload {
  const { config, clock, log } = options;
  const servers = new Set<TlsServer>();
  let seen = stampOf(config);
  let cancel = clock.after(CHECK_MS, check);

  function check(): void {
    const now = stampOf(config);
    if (now !== seen) {
      // A pair that does not fit yet is looked at again at the next check, even if nothing more changes.
      if (reload()) seen = now;
    }
    cancel = clock.after(CHECK_MS, check);
  }

  function reload(): boolean {
    try {
      const pair = readTlsPair(config);
      if (pair === null) return true;
      for (const server of servers)
        server.setSecureContext({ cert: pair.cert, key: pair.key, minVersion: 'TLSv1.2' });
      const until = new Date(pair.facts.validToMs).toISOString();
      log.info('the certificate was read again', { names: pair.facts.names, until });
      return true;
    } catch (error) {
      log.error('the new certificate cannot be used; the old one goes on serving', {
        error: messageOf(error),
      });
      return false;
    }
  }

  return {
    serve: (server) => {
      servers.add(server);
      server.once('close', () => servers.delete(server));
    },
    reload: () => void reload(),
    stop: () => cancel(),
  };
}

function readPem(config: Config, name: 'tls-cert' | 'tls-key'): Buffer {
  return parse(config, name, 'cannot be read', () => readFileSync(config[name]));
}

function parse<T>(config: Config, name: 'tls-cert' | 'tls-key', what: string, work: () => T): T {
  try {
    return work();
  } catch (cause) {
    const { message } = cause as Error;
    throw new AppError('invalid-field', `--${name}: the file ${config[name]} ${what} (${message})`, {
      field: name,
      cause,
    });
  }
}

function refuseForeignKey(config: Config, certificate: X509Certificate, key: KeyObject): void {
  if (certificate.checkPrivateKey(key)) return;
  throw new AppError(
    'invalid-field',
    `--tls-key: ${config['tls-key']} is not the key of the certificate in ${config['tls-cert']}: ` +
      "the chain file must begin with the server's own certificate, and the key be the one it was made with",
    { field: 'tls-key' },
  );
}

function factsOf(certificate: X509Certificate): CertificateFacts {
  // `DNS:a.example, IP Address:192.0.2.1`; names with a comma or a quote come quoted and are nobody's host.
  const names = (certificate.subjectAltName ?? '')
    .split(', ')
    .flatMap((entry) => /^(?:DNS|IP Address):(.+)$/.exec(entry)?.[1] ?? []);
  return {
    names,
    validFromMs: certificate.validFromDate.getTime(),
    validToMs: certificate.validToDate.getTime(),
    isFor: (host) =>
      certificate.checkHost(host) !== undefined ||
      certificate.checkIP(host.replace(/^\[|\]$/g, '')) !== undefined,
  };
}

/** What changes when one of the files is replaced or written, also behind a link. */
function stampOf(config: Config): string {
  return [config['tls-cert'], config['tls-key']]
    .map((file) => {
      const found = statSync(file, { throwIfNoEntry: false });
      return found === undefined ? 'none' : `${found.ino}/${found.size}/${found.mtimeMs}`;
    })
    .join(' ');
}
