import { expect, test } from 'vitest';

import { domainOf, parseRoles } from '#api/roles.ts';

test.each([
  ['/', null],
  ['/healthz', null],
  ['/v1/about', null],
  ['/v1/account', 'identity'],
  ['/v1/account/sign-in', 'identity'],
  ['/v1/accounts', 'streams'],
  ['/v1/devices/1/rotate', 'identity'],
  ['/v1/device', 'streams'],
  ['/v1/live', 'streams'],
  ['/v1/patients/1/progress', 'clinic'],
  ['/v1/audit', 'clinic'],
  ['/v1/jobs/1/file', 'jobs'],
  ['/v1/sessions/1/motion', 'streams'],
  ['/v1/channels/session/1/chat/messages', 'streams'],
])('%s is answered by %s', (path, domain) => {
  expect(domainOf(path)).toBe(domain);
});

test('roles and their addresses are read, and what is wrong is named', () => {
  const { own, urls } = parseRoles({ roles: 'clinic, jobs', urls: 'streams=http://127.0.0.1:7901/' });
  expect([...own]).toEqual(['clinic', 'jobs']);
  expect(urls.get('streams')?.port).toBe('7901');
  for (const [settings, field] of [
    [{ roles: '', urls: '' }, 'roles'],
    [{ roles: 'clinics', urls: '' }, 'roles'],
    [{ roles: 'jobs', urls: 'streams' }, 'role-urls'],
    [{ roles: 'jobs', urls: 'streams=ftp://host' }, 'role-urls'],
    [{ roles: 'jobs', urls: 'stream=http://host' }, 'role-urls'],
  ] as const)
    expect(() => parseRoles(settings)).toThrow(expect.objectContaining({ code: 'invalid-field', field }));
});
