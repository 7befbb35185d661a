/**
 * Owns `test` and `expect` for a suite that runs in a browser page, as far as the device store's conformance uses them:
 * the bundler puts this file in place of vitest. A matcher that is not here fails to bundle, so none passes unseen.
 */

const tests = new Map<string, () => void | Promise<void>>();

export function test(name: string, body: () => void | Promise<void>): void {
  if (tests.has(name)) throw new Error(`two tests are called '${name}'`);
  tests.set(name, body);
}

export function testNames(): string[] {
  return [...tests.keys()];
}

export async function runTest(name: string): Promise<void> {
  await tests.get(name)!();
}

interface Containing {
  readonly containing: Record<string, unknown>;
}

class Matchers {
  readonly #actual: unknown;
  readonly #isExpected: boolean;

  constructor(actual: unknown, isExpected: boolean) {
    this.#actual = actual;
    this.#isExpected = isExpected;
  }

  get not(): Matchers {
    return new Matchers(this.#actual, !this.#isExpected);
  }

  toBe(wanted: unknown): void {
    this.#judge(Object.is(this.#actual, wanted), 'to be', wanted);
  }

  toEqual(wanted: unknown): void {
    this.#judge(isEqual(this.#actual, wanted), 'to equal', wanted);
  }

  toContain(wanted: unknown): void {
    this.#judge((this.#actual as unknown[]).includes(wanted), 'to contain', wanted);
  }

  toBeLessThanOrEqual(wanted: number): void {
    this.#judge((this.#actual as number) <= wanted, 'to be at most', wanted);
  }

  toThrow({ containing }: Containing): void {
    let thrown: unknown;
    try {
      (this.#actual as () => void)();
    } catch (error) {
      thrown = error;
    }
    const found = (thrown ?? {}) as Record<string, unknown>;
    const isThrown = Object.entries(containing).every(([key, value]) => isEqual(found[key], value));
    this.#judge(isThrown, `to throw (it threw ${String(thrown)})`, containing);
  }

  #judge(isSo: boolean, relation: string, wanted: unknown): void {
    if (isSo === this.#isExpected) return;
    const not = this.#isExpected ? '' : 'not ';
    throw new Error(`expected ${show(this.#actual)} ${not}${relation} ${show(wanted)}`);
  }
}

export const expect = Object.assign((actual: unknown) => new Matchers(actual, true), {
  objectContaining: (containing: Record<string, unknown>): Containing => ({ containing }),
});

function isEqual(a: unknown, b: unknown): boolean {
  if (Object.is(a, b)) return true;
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return false;
  if (a instanceof Map || b instanceof Map)
    return a instanceof Map && b instanceof Map && isEqual([...a], [...b]);
  if (Array.isArray(a) !== Array.isArray(b)) return false;
  const keys = (o: object): string[] =>
    Object.keys(o)
      .filter((key) => (o as Record<string, unknown>)[key] !== undefined)
      .toSorted();
  const mine = keys(a);
  return (
    mine.join() === keys(b).join() &&
    mine.every((key) => isEqual((a as Record<string, unknown>)[key], (b as Record<string, unknown>)[key]))
  );
}

function show(value: unknown): string {
  return typeof value === 'function' ? 'the call' : (JSON.stringify(value) ?? String(value)).slice(0, 500);
}
