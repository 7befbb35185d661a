/** Owns the check of TLS: that health data cannot leave in clear, and that the certificate is one clients accept. */

import { messageOf } from '#base/errors.ts';
import { assertSafeBinding, isLoopbackHost } from '#app/config.ts';
import { ok, problem, warning, type Check, type Finding } from '#app/doctor/finding.ts';
import { readTlsPair, type CertificateFacts } from '#app/tls-files.ts';

const DAY_MS = 24 * 3600 * 1000;
/** Automatic renewal happens 30 days ahead; past this it has failed several times. */
const RENEWAL_DAYS = 20;

export const checkTls: Check = ({ config, clock }) => {
  try {
    assertSafeBinding(config);
  } catch (error) {
    return [problem('tls', `${messageOf(error)}.`, 'kymo start --tls-cert FILE --tls-key FILE')];
  }
  if (config['tls-cert'] === '') return [judgeClearText(config)];
  try {
    const pair = readTlsPair(config);
    return pair === null
      ? []
      : judgeCertificate(pair.facts, { host: config.host, nowMs: clock.nowUs() / 1000 });
  } catch (error) {
    return [
      problem(
        'tls',
        `${messageOf(error)}.`,
        `openssl x509 -in '${config['tls-cert']}' -noout -subject -dates`,
      ),
    ];
  }
};

function judgeClearText(config: { host: string; insecure: boolean; 'trusted-proxy': string }): Finding {
  if (isLoopbackHost(config.host)) return ok('tls', 'No TLS is needed: only this machine can connect.');
  if (config.insecure)
    return warning(
      'tls',
      `Health data travels in clear text: ${config.host} can be reached by others, and --insecure is given.`,
      'kymo start --tls-cert FILE --tls-key FILE, or --trusted-proxy ADDRESS',
    );
  return ok(
    'tls',
    `TLS ends at the proxy (${config['trusted-proxy']}); clear text from anyone else is refused.`,
  );
}

export function judgeCertificate(
  facts: CertificateFacts,
  { host, nowMs }: { host: string; nowMs: number },
): Finding[] {
  const until = new Date(facts.validToMs).toISOString().slice(0, 10);
  const days = Math.floor((facts.validToMs - nowMs) / DAY_MS);
  const renew = 'renew it, for example with certbot renew; the server reads the new files by itself';
  const findings: Finding[] = [];
  if (nowMs > facts.validToMs)
    findings.push(problem('tls', `The certificate expired on ${until}: clients refuse it.`, renew));
  else if (nowMs < facts.validFromMs)
    findings.push(
      problem(
        'tls',
        `The certificate is valid only from ${new Date(facts.validFromMs).toISOString().slice(0, 10)} on.`,
        'correct the clock of this machine: sudo timedatectl set-ntp true',
      ),
    );
  else if (days < RENEWAL_DAYS)
    findings.push(warning('tls', `The certificate expires in ${days} days, on ${until}.`, renew));
  else
    findings.push(
      ok('tls', `The certificate fits its key and is valid until ${until}, for ${facts.names.join(', ')}.`),
    );
  if (facts.names.length === 0)
    findings.push(
      problem(
        'tls',
        'The certificate names no host (subjectAltName): clients refuse it.',
        'have it made anew with the names of this server',
      ),
    );
  else if (!isWildcard(host) && !facts.isFor(host))
    findings.push(
      warning(
        'tls',
        `The server listens on ${host}, which the certificate is not for (${facts.names.join(', ')}).`,
        'connect by one of its names, or have it made anew with this one',
      ),
    );
  return findings;
}

function isWildcard(host: string): boolean {
  return host === '0.0.0.0' || host === '::';
}
