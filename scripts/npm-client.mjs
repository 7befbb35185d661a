/**
 * Owns how npm is called: the machine's own client, without install scripts, its noise kept back unless it fails.
 */

import { accessSync, constants, existsSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';

import { toolsDirectory } from './checkout.mjs';
import { runQuietly } from './child-process.mjs';
import { SetupError } from './progress.mjs';

const quietFlags = ['--ignore-scripts', '--no-audit', '--no-fund', '--no-update-notifier', '--loglevel=warn'];

/** Runs npm in `cwd`. Throws a SetupError with npm's words when it fails; `what` names the purpose. */
export async function runNpm(args, { cwd, what }) {
  const client = npmCommand();
  const result = await runQuietly(client.command, [...client.args, ...args, ...quietFlags], {
    cwd,
    env: npmEnvironment(),
    shell: client.shell,
  });
  if (result.exitCode === 0) return;
  throw new SetupError(`${what} failed: npm ended with code ${result.exitCode}.`, {
    output: result.output,
    next: nextStepFor(result.output),
  });
}

/** npm's own JavaScript when npm started us, the command on the PATH otherwise. */
function npmCommand() {
  const script = process.env.npm_execpath;
  if (script !== undefined && path.basename(script) === 'npm-cli.js') {
    return { command: process.execPath, args: [script], shell: false };
  }
  return process.platform === 'win32'
    ? { command: 'npm.cmd', args: [], shell: true }
    : { command: 'npm', args: [], shell: false };
}

// What `npm start` passes to its script describes that run, not this one: it would make the inner npm work on the
// outer package, or honour an --omit meant for another command.
function npmEnvironment() {
  const env = { ...process.env };
  for (const name of Object.keys(env)) {
    if (
      /^npm_(package_|lifecycle_|command$|config_(local_prefix|omit|include|global|workspace))/i.test(name)
    ) {
      delete env[name];
    }
  }
  delete env.NODE_ENV;
  if (!hasWritableHome()) env.npm_config_cache ??= path.join(toolsDirectory, 'npm-cache');
  return env;
}

/** npm keeps its cache there; without one it fails before it has fetched anything. */
function hasWritableHome() {
  try {
    const home = os.homedir();
    const cache = path.join(home, '.npm');
    accessSync(existsSync(cache) ? cache : home, constants.W_OK);
    return true;
  } catch {
    return false;
  }
}

function nextStepFor(output) {
  if (/spawn npm|npm: not found/.test(output))
    return 'install npm (it comes with Node), then run the same command again.';
  if (/ENOSPC|EDQUOT/.test(output))
    return 'make at least 1 GB free on the disk of this directory, then run the same command again.';
  if (/EACCES|EPERM|EROFS/.test(output))
    return 'make this directory writable for you, then run the same command again.';
  if (/ENOTFOUND|ECONNREFUSED|ECONNRESET|ETIMEDOUT|EAI_AGAIN|network/i.test(output)) {
    return 'check the network connection (and `npm config get registry`), then run the same command again.';
  }
  return 'read what npm says above, then run the same command again.';
}
