/**
 * Owns the forced garbage collection of a server that has no other way to be told: loaded into the product's own process
 * by `--import`, with --expose-gc, it collects on SIGUSR2 and says so. Nothing of it runs before.
 */

process.on('SIGUSR2', () => {
  globalThis.gc?.();
  globalThis.gc?.();
  process.stdout.write('collected\n');
});
