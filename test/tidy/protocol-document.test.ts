/** docs/protocol.md against the code: every message with its fields, every code, every limit, and nothing else. */

import { readFileSync } from 'node:fs';

import { describe, expect, test } from 'vitest';

import { hubMessageSchemas, viewerMessageSchemas } from '#contract/live-messages.ts';
import { defaultHubLimits } from '#live/hub-limits.ts';
import { closeCodes, errorCodes, mayReconnect } from '#protocol/codes.ts';
import { limits } from '#protocol/limits.ts';
import { deviceMessageSchemas, serverMessageSchemas } from '#protocol/messages.ts';
import { DEVICE_SUBPROTOCOL, LIVE_SUBPROTOCOL, PROTOCOL_VERSION } from '#protocol/version.ts';
import { fieldRows } from '#test/support/schema-rows.ts';

const document = readFileSync(new URL('../../docs/protocol.md', import.meta.url), 'utf8');

/** The text under a heading, up to the next one of its level or above. */
function section(heading: string, within = document): string {
  const level = heading.indexOf(' ');
  const start = within.indexOf(`\n${heading}\n`);
  expect(start, `there is no section "${heading}"`).toBeGreaterThanOrEqual(0);
  const rest = within.slice(start + heading.length + 2);
  const end = rest.search(new RegExp(`^#{1,${level}} `, 'm'));
  return end < 0 ? rest : rest.slice(0, end);
}

/** The cells of the table rows whose first cell is `code`, that code first. */
function tableRows(text: string): string[][] {
  return text
    .split('\n')
    .filter((line) => line.startsWith('| `'))
    .map((line) => line.slice(2, -2).split(' | '))
    .map(([first, ...rest]) => [first!.replaceAll('`', ''), ...rest]);
}

const families = {
  'Messages of the device': deviceMessageSchemas,
  'Messages of the server': serverMessageSchemas,
  'Messages of the viewer': viewerMessageSchemas,
  'Messages of the hub': hubMessageSchemas,
};

describe.each(Object.entries(families))('%s', (heading, schemas) => {
  const text = section(`## ${heading}`);

  test('are all there, and no others', () => {
    const headings = [...text.matchAll(/^### `(\w+)`$/gm)].map(([, type]) => type);
    expect(headings).toEqual(Object.keys(schemas));
  });

  test.each(Object.entries(schemas))('%s has exactly the fields of its schema', (type, schema) => {
    const rows = tableRows(section(`### \`${type}\``, text));
    expect(rows.map(([path, values]) => ({ path, values }))).toEqual(fieldRows(schema));
    for (const [, , meaning] of rows) expect(meaning).toMatch(/\w/);
  });
});

test('every close code is there with its number and whether to come back', () => {
  const rows = section('## Close codes')
    .split('\n')
    .flatMap((line) => [...line.matchAll(/^\| (\d+) \| `(\w+)` \| (yes|no) \|/g)])
    .map(([, code, name, again]) => [name, Number(code), again]);
  const expected = Object.entries(closeCodes).map(([name, code]) => [
    name,
    code,
    mayReconnect(code) ? 'yes' : 'no',
  ]);
  expect(rows).toEqual(expected);
});

test('every error code is there with its meaning and whether it passes', () => {
  const rows = tableRows(section('## Error codes')).map(([code, temporary, text]) => [code, temporary, text]);
  const expected = Object.entries(errorCodes).map(([code, { temporary, text }]) => [
    code,
    temporary ? 'yes' : 'no',
    text,
  ]);
  expect(rows).toEqual(expected);
});

test('every limit is there with its value', () => {
  const large = new Map<number, string>([
    [limits.seqExclusive, '2^53'],
    [limits.timeUsExclusive, '2^53 - 2^32'],
  ]);
  const rows = tableRows(section('## Limits')).map(([name, value]) => [name, value]);
  expect(rows).toEqual(
    Object.entries(limits).map(([name, value]) => [name, large.get(value) ?? String(value)]),
  );
});

test('versions and the limits of viewers are those of the code', () => {
  expect(document).toContain(`version ${PROTOCOL_VERSION}\n`);
  for (const name of [DEVICE_SUBPROTOCOL, LIVE_SUBPROTOCOL]) expect(document).toContain(`\`${name}\``);
  const { subscriptionsPerViewer, requestBurst, requestsPerSecond, tickMs } = defaultHubLimits;
  expect(document).toContain(`at most ${subscriptionsPerViewer} channels`);
  expect(document).toContain(`More than ${requestBurst} requests at once, or ${requestsPerSecond} a second`);
  expect(document).toContain(`at most ${tickMs} ms under load`);
});

test('every reason of a tombstone is explained', () => {
  const reasons = fieldRows(deviceMessageSchemas.tombstone).find(({ path }) => path === 'reason')!.values;
  const explained = tableRows(section('## Acknowledgement, resume and loss')).map(
    ([reason]) => `"${reason}"`,
  );
  expect(explained.join(', ')).toBe(reasons);
});

test('the byte tables are gapless and as long as they say', () => {
  const tables = [...document.matchAll(/(?:^\| \d+ \| \d+ \| \w+ \|.*\n)+/gm)].map(([table]) =>
    [...table.matchAll(/^\| (\d+) \| (\d+) \|/gm)].map(([, offset, size]) => [Number(offset), Number(size)]),
  );
  const ends = tables.map((table) =>
    table.reduce((end, [offset, size]) => {
      expect(offset).toBe(end);
      return end + size!;
    }, 0),
  );
  expect(ends).toEqual([16, 32, 32, 80]);
});
