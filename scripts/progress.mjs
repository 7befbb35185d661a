/**
 * Owns what set-up says on the terminal: one line per step with its time. On a terminal a running step shows a bar
 * (when its share is known) or its elapsed time, and is overwritten by the finished line; elsewhere only finished
 * lines are written, so logs stay clean. Failures carry what to do next.
 */

const nameColumns = 34;
const barColumns = 20;
const redrawMs = 120;

/** A failure that a person can act on. `next` says how; `output` is what the failed program printed. */
export class SetupError extends Error {
  constructor(message, { next, output, exitCode = 1 } = {}) {
    super(message);
    this.next = next;
    this.output = output;
    this.exitCode = exitCode;
  }
}

export function formatSeconds(ms) {
  return `${(ms / 1000).toFixed(1).padStart(5)} s`;
}

/** `stream` is stdout for commands that people watch and stderr for those whose stdout machines read. */
export function createProgress(stream) {
  const colour = (code, text) => (usesColour(stream) ? `\u001B[${code}m${text}\u001B[0m` : text);
  const line = (name, ms) => `  ${name.padEnd(nameColumns)}${colour(2, formatSeconds(ms))}\n`;

  return {
    /** Writes a plain line, for example why we wait. */
    say: (text) => stream.write(`  ${text}\n`),
    /** A finished step that was timed elsewhere. */
    finished: (name, ms) => stream.write(line(name, ms)),
    /**
     * Runs `work`, then writes `done` with the time it took. `work` receives a function that reports the share done
     * (0 to 1). When `work` throws, the running line disappears and the error passes through.
     */
    async step({ doing, done }, work) {
      const startedAt = performance.now();
      let share;
      const draw = () =>
        stream.write(`\r\u001B[2K${runningLine(doing, performance.now() - startedAt, share)}`);
      const timer = stream.isTTY ? setInterval(draw, redrawMs) : undefined;
      try {
        const result = await work((value) => {
          share = value;
        });
        clearRunning(stream, timer);
        stream.write(line(done, performance.now() - startedAt));
        return result;
      } catch (error) {
        clearRunning(stream, timer);
        throw error;
      }
    },
  };
}

function runningLine(doing, ms, share) {
  const elapsed = formatSeconds(ms);
  if (share === undefined || ms < 1000) return `  ${doing.padEnd(nameColumns)}${elapsed}`;
  const filled = Math.round(Math.min(1, share) * barColumns);
  return `  ${doing.padEnd(nameColumns)}${elapsed}  ${'━'.repeat(filled)}${'┄'.repeat(barColumns - filled)}`;
}

function clearRunning(stream, timer) {
  if (timer === undefined) return;
  clearInterval(timer);
  stream.write('\r\u001B[2K');
}

function usesColour(stream) {
  return stream.isTTY === true && process.env.NO_COLOR === undefined;
}

/** Writes a failure to stderr: what happened, what the program said, what to do. */
export function reportFailure(error) {
  const red = usesColour(process.stderr) ? (text) => `\u001B[31m${text}\u001B[0m` : (text) => text;
  if (!(error instanceof SetupError)) {
    process.stderr.write(`${red('Set-up failed unexpectedly.')}\n${error?.stack ?? error}\n`);
    return;
  }
  process.stderr.write(`${red(error.message)}\n`);
  if (error.output) process.stderr.write(`${error.output.trimEnd()}\n`);
  if (error.next) process.stderr.write(`Next: ${error.next}\n`);
}
