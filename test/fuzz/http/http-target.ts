/**
 * Owns the target `http-readings`: bodies of POST /v1/readings, checked by the schema that the API checks them with, for
 * the real intake and gateway over a store that commits, drops and refuses. Every request ends, accepted or with a code.
 */

import { compileValidator } from '#api/validation.ts';
import { AppError } from '#base/errors.ts';
import { createMemoryBus } from '#bus/memory-bus.ts';
import { ReadingsRequest, type ReadingsAccepted } from '#contract/rest.ts';
import type { FrameSource } from '#contract/readings.ts';
import { createGateway, defaultGatewayConfig } from '#ingest/gateway.ts';
import { createHttpReadings } from '#ingest/http-readings.ts';
import { errorCodes } from '#protocol/codes.ts';
import { answerModes, createBackendModel } from '#test/fuzz/gateway/backend-model.ts';
import { devices } from '#test/fuzz/gateway/universe.ts';
import type { Chance } from '#test/fuzz/chance.ts';
import { bomb, hostileNumber, hostileString, varyText } from '#test/fuzz/hostile-json.ts';
import type { Step } from '#test/fuzz/step.ts';
import { hold, type Notes, type Target } from '#test/fuzz/target.ts';
import { createWatchedClock } from '#test/fuzz/watched-clock.ts';

const check = compileValidator({ schema: ReadingsRequest, httpPart: 'body' });

export const httpTarget: Target = {
  name: 'http-readings',
  share: 1,
  about: 'bodies of POST /v1/readings against the HTTP intake, with a store that answers anything',
  generate: (chance) => Array.from({ length: 5 + chance.below(40) }, () => anyStep(chance)),
  run,
};

function anyStep(chance: Chance): Step {
  const draw = chance.below(20);
  if (draw < 13) {
    const text = chance.is(0.003) ? bomb(chance) : JSON.stringify(body(chance));
    return { do: 'post', who: chance.below(2), text: chance.is(0.3) ? varyText(text, chance) : text };
  }
  if (draw < 17)
    return {
      do: chance.among(['flush', 'flush', 'flush', 'refuse', 'rewind', 'unknown']),
      n: chance.below(9),
    };
  if (draw < 18) return { do: 'mode', n: chance.below(6) };
  if (draw < 19) return { do: 'answer', n: chance.below(3) };
  return { do: 'advance', n: chance.among([1, 1_000, 5_001, 700_000]) };
}

function body(chance: Chance): object {
  const names = chance.is(0.9) ? ['x', 'y'].slice(0, 1 + chance.below(2)) : [hostileString(chance)];
  const isTimed = chance.is(0.4);
  const startUs = chance.is(0.8) ? 1_700_000_000_000_000 : Math.trunc(hostileNumber(chance));
  const readings = Array.from({ length: 1 + chance.below(5) }, (_, i) => ({
    ...(isTimed ? { timeUs: startUs + i * chance.among([0, 1, 5_000, 4_000_000_000]) } : {}),
    values: Object.fromEntries(names.map((name) => [name, hostileNumber(chance)])),
  }));
  return {
    segment: `segment-${chance.below(3)}`,
    ...(chance.is(0.3) ? { rateHz: Math.abs(hostileNumber(chance)) } : {}),
    readings,
  };
}

interface Request {
  readonly body: ReadingsRequest;
  outcome: ReadingsAccepted | AppError | null;
}

const settled = async (): Promise<void> => {
  for (let i = 0; i < 12; i++) await Promise.resolve();
};

async function run(steps: readonly Step[], notes: Notes): Promise<void> {
  const clock = createWatchedClock();
  const due = new Set<FrameSource>();
  let now = devices[0]!;
  const model = createBackendModel(
    {
      currentDevice: () => null,
      // These frames come in no message: the server makes them itself.
      messageOf: () => null,
    },
    notes,
  );
  const silent = (): void => undefined;
  const store = { due: (source: FrameSource): void => void due.add(source), renew: silent };
  const gateway = createGateway({
    backend: model.backend,
    store,
    bus: createMemoryBus(),
    clock,
    log: { debug: silent, info: silent, warn: silent, error: silent },
    random: () => 0.5,
    endOfTurn: (callback) => queueMicrotask(callback),
    config: { ...defaultGatewayConfig, creditPoolBytes: 16 * 1024, maxBuffers: 5 },
  });
  const submit = createHttpReadings({ gateway, store, clock });
  const requests: Request[] = [];
  const flushAll = (): void => {
    const sources = [...due];
    due.clear();
    for (const source of sources) {
      model.flush(source, Number.MAX_SAFE_INTEGER);
    }
  };
  for (const step of steps) {
    const n = Math.abs(Math.trunc(step.n ?? 0)) || 0;
    now = devices[(step.who ?? 0) % 2]!;
    if (step.do === 'post') {
      const request = requestOf(step.text ?? '', notes);
      if (request !== null) {
        requests.push(request);
        submit(now, request.body).then(
          (accepted) => finishRequest(request, accepted),
          (error: unknown) => finishRequest(request, error),
        );
      }
    } else if (step.do === 'mode') model.mode = answerModes[n % answerModes.length]!;
    else if (step.do === 'answer') model.pending.splice(n % Math.max(1, model.pending.length), 1)[0]?.();
    else if (step.do === 'advance') clock.advance(n % 1_000_000);
    else moveStore([...due][n % Math.max(1, due.size)], step.do);
    await settled();
    const { credit, buffers } = gateway.statistics;
    hold(
      credit.reservedBytes >= 0 && credit.reservedBytes <= credit.totalBytes,
      'credit is bounded by its pool',
    );
    hold(buffers <= 5, 'buffers are bounded', buffers);
  }
  model.mode = 'now';
  while (model.pending.length > 0) {
    for (const answer of model.pending.splice(0)) answer();
    await settled();
  }
  flushAll();
  clock.advance(6_000);
  await settled();
  for (const { outcome } of requests) {
    hold(outcome !== null, 'every request ends');
    if (!(outcome instanceof AppError)) continue;
    hold(Object.hasOwn(errorCodes, outcome.code), 'a refusal has a known code', outcome.code);
    notes.refused(outcome.code);
  }
  flushAll();
  hold(
    gateway.statistics.credit.reservedBytes === 0,
    'all credit comes back',
    gateway.statistics.credit.reservedBytes,
  );
  gateway.stop();
  hold(clock.timerCount === 0, 'a stopped gateway waits for nothing', clock.timerCount);

  function moveStore(source: FrameSource | undefined, what: string): void {
    if (source === undefined) return;
    notes.reached(`store ${what}`);
    if (what === 'flush') return flushAll();
    if (what === 'rewind') return source.rewind(0);
    due.delete(source);
    source.take(10);
    if (what === 'refuse') source.refused('no');
    else source.unknown();
  }
}

function finishRequest(request: Request, outcome: unknown): void {
  hold(request.outcome === null, 'a request is answered once');
  if (outcome instanceof AppError) {
    request.outcome = outcome;
    return;
  }
  // A bug of the backend's: the API answers it with `internal` and logs it.
  if (outcome instanceof Error && outcome.message === 'inner detail') {
    request.outcome = new AppError('internal', outcome.message);
    return;
  }
  hold(!(outcome instanceof Error), 'a request fails with a code', String(outcome));
  request.outcome = outcome as ReadingsAccepted;
}

/** The request as the API gets it; null when its schema refuses it. */
function requestOf(text: string, notes: Notes): Request | null {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    notes.refused('malformed-message');
    return null;
  }
  const checked = check(value);
  if ('value' in checked) return { body: checked.value as ReadingsRequest, outcome: null };
  hold(Object.hasOwn(errorCodes, checked.error.code), 'a refusal has a known code', checked.error.code);
  notes.refused(checked.error.code);
  return null;
}
