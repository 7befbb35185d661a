/** Owns what this machine is, in the words of package.json's `os`, `cpu` and `libc` fields. */

/** 'glibc' or 'musl' on Linux, undefined elsewhere. The report is the only way that Node tells; it takes some 10 ms. */
export const libc = detectLibc();

function detectLibc() {
  if (process.platform !== 'linux') return undefined;
  // Without this the report looks up the names of open connections.
  process.report.excludeNetwork = true;
  return process.report.getReport().header.glibcVersionRuntime === undefined ? 'musl' : 'glibc';
}
