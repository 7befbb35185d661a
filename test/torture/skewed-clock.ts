/**
 * Owns the wall clock of a tortured process: loaded before its program (`--import`), it adds to every reading of the
 * wall clock the milliseconds that a file holds, looked at ten times a second. The monotonic clock stays as it is, as on
 * a machine whose clock is set. KYMO_TORTURE_CLOCK names the file; without it nothing changes.
 */

import { readFileSync } from 'node:fs';

import { clockSkew } from '#test/torture/clock-skew.ts';

const LOOK_MS = 100;
const file = process.env['KYMO_TORTURE_CLOCK'];

if (file !== undefined) {
  const SystemDate = Date;
  const systemNow = Date.now.bind(Date);
  const now = (): number => systemNow() + clockSkew.ms;
  Date.now = now;
  globalThis.Date = new Proxy(SystemDate, {
    construct: (target, args: [], newTarget) =>
      Reflect.construct(target, args.length === 0 ? [now()] : args, newTarget) as Date,
    apply: () => new SystemDate(now()).toString(),
  });
  const look = (): void => void (clockSkew.ms = Number(readFileSync(file, 'utf8')));
  look();
  setInterval(look, LOOK_MS).unref();
}
