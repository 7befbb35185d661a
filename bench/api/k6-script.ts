/**
 * Owns the k6 script of the API benchmark's load, for whoever measures an installation of several machines with k6 instead of
 * our own generator. It is made from scenario.json by scripts/generate.ts, so that both do the same work; a test plays both
 * with the same chance and compares what they ask.
 */

import type { Scenario } from '#bench/api/scenario.ts';

export function k6Script(scenario: Scenario): string {
  return `// Made from bench/api/scenario.json by scripts/generate.ts: change it there. How to run it: deploy/k6/README.md.

import { check } from 'k6';
import http from 'k6/http';

const scenario = ${JSON.stringify(scenario, null, 2)};

const url = __ENV.KYMO_URL || 'http://127.0.0.1:7900';
const rate = Number(__ENV.RATE || 1300);
/** One a line, of clinician 0, 1, ...: an access key, or the value of a sign-in's cookie. */
const keys = open(__ENV.KEYS || './keys.txt').trim().split('\\n');

export const options = {
  scenarios: {
    [scenario.name]: {
      executor: 'constant-arrival-rate',
      rate,
      timeUnit: '1s',
      duration: __ENV.DURATION || '1m',
      preAllocatedVUs: scenario.clinicians,
      maxVUs: 10 * scenario.clinicians,
    },
  },
  thresholds: {
    http_req_failed: ['rate<0.001'],
    http_req_duration: ['p(95)<' + (__ENV.P95_MS || '180')],
    dropped_iterations: ['count<1'],
  },
  summaryTrendStats: ['avg', 'med', 'p(95)', 'p(99)', 'max'],
};

const idOf = (prefix, n) => prefix + '-0000-7000-8000-' + n.toString(16).padStart(12, '0');
const anyOf = (n) => Math.floor(Math.random() * n);

/** The patients whom a clinician sees today are consecutive ones of the organisation. */
function drawPatient(clinician) {
  const { organisations, panelPatients, panelShare, patients } = scenario;
  const ofOrganisation = Math.floor(patients / organisations);
  const first = Math.floor(clinician / organisations) * panelPatients;
  const nth = Math.random() < panelShare ? (first + anyOf(panelPatients)) % ofOrganisation : anyOf(ofOrganisation);
  return nth * organisations + (clinician % organisations);
}

function drawOperation() {
  const at = Math.random();
  let sum = 0;
  return scenario.operations.find(({ share }) => at < (sum += share)) || scenario.operations.at(-1);
}

export default function () {
  const clinician = anyOf(scenario.clinicians);
  const patient = drawPatient(clinician);
  const { name, method, path, body } = drawOperation();
  const { least, spread } = scenario.sessionsPerPatient;
  const newest = least + ((7 * patient) % spread) - 1;
  const session = idOf('0190c000', patient * 64 + newest - anyOf(scenario.recentSessions));
  const address = path.replace('{patient}', idOf('0190b000', patient)).replace('{session}', session);
  const text = body && JSON.stringify(body).replace('{code}', 'P-' + String(patient).padStart(6, '0'));
  const key = keys[clinician % keys.length];
  const headers = key.startsWith('ka_') ? { Authorization: 'Bearer ' + key } : { Cookie: 'kymo.session=' + key, Origin: url };
  if (body) headers['Content-Type'] = 'application/json';
  const answer = http.request(method, url + address, text, { headers, tags: { name } });
  check(answer, { 'was answered': ({ status }) => status >= 200 && status < 300 });
}
`;
}
