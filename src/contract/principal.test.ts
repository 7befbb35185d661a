import { expect, test } from 'vitest';

import { isGranted, matchesPattern } from '#contract/principal.ts';
import { testPrincipal } from '#test/support/principals.ts';

test.each([
  ['ticker/abc', 'ticker/abc', true],
  ['ticker/*', 'ticker/abc', true],
  ['ticker/*', 'ticker/abc/def', false],
  ['ticker/*', 'ticker', false],
  ['*/chat', 'session/chat', true],
  ['session/**', 'session/1/chat', true],
  ['session/**', 'session', false],
  ['**', 'anything/at/all', true],
  ['ticker', 'ticker/abc', false],
])('pattern %s and name %s: %s', (pattern, name, matches) => {
  expect(matchesPattern(pattern, name)).toBe(matches);
});

test('grants limit to their channels and operations; without them nothing is limited here', () => {
  const limited = testPrincipal({ grants: [{ channels: 'ticker/*', operations: ['subscribe'] }] });
  expect(isGranted(limited, 'ticker/abc', 'subscribe')).toBe(true);
  expect(isGranted(limited, 'ticker/abc', 'publish')).toBe(false);
  expect(isGranted(limited, 'chat/abc', 'subscribe')).toBe(false);
  expect(isGranted(testPrincipal({ grants: [] }), 'ticker/abc', 'subscribe')).toBe(false);
  expect(isGranted(testPrincipal(), 'ticker/abc', 'publish')).toBe(true);
});
