import { expect, test } from 'vitest';

import type { WebhookDelivery } from '#contract/webhooks.ts';
import { answerWords, eventChoices, eventsWords, eventWordsOf, hostOf } from '#web/webhooks/webhook-words.ts';

const delivery: WebhookDelivery = {
  id: '01890000-0000-7000-8000-000000000001',
  eventId: '01890000-0000-7000-8000-000000000002',
  type: 'session.ended',
  state: 'pending',
  attempts: 0,
  createdAt: '2026-01-01T00:00:00.000Z',
  nextAttemptAt: null,
  deliveredAt: null,
  lastStatus: null,
  lastError: null,
  lastDurationMs: null,
};

test('an answer is its status or why there is none, and how long it took', () => {
  expect(answerWords(delivery)).toBe('');
  expect(answerWords({ ...delivery, lastStatus: 204, lastDurationMs: 12 })).toBe('204 after 12\u202fms');
  expect(answerWords({ ...delivery, lastError: 'no answer within 5 s', lastDurationMs: 5003 })).toBe(
    'no answer within 5 s after 5.0\u202fs',
  );
});

test('no events chosen are all of them, and a new kind is told by its name', () => {
  expect(eventsWords([])).toBe('Everything');
  expect(eventsWords(['session.ended', 'report.ready'])).toBe('A session ended, a report is ready');
  expect(eventWordsOf('patient.moved')).toBe('patient.moved');
  expect(eventChoices).not.toContain('endpoint.test');
});

test('an address is known by its host, with a port that is not the usual one', () => {
  expect(hostOf('https://hooks.example.org:8443/kymo?x=1')).toBe('hooks.example.org:8443');
});
