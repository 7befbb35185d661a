/**
 * Owns the Node that runs Kymo: this one when it is new enough, otherwise a pinned Node 24 fetched as an npm package
 * into `.tools/`. The package carries the plain binary, so no install script is needed; its integrity is pinned here.
 */

import { existsSync, mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';

import { readJson, toolsDirectory } from './checkout.mjs';
import { runQuietly } from './child-process.mjs';
import { runNpm } from './npm-client.mjs';
import { libc } from './platform.mjs';
import { SetupError } from './progress.mjs';
import { withSetUpLock } from './set-up-lock.mjs';

const wantedMajor = 24;
const pinnedVersion = '24.21.0';

/** The integrity that the registry published for node-<platform>-<arch>@24.21.0. */
const pinnedIntegrity = {
  'linux-x64':
    'sha512-3nULszZ5X0fciYpG0t6TrdApJzAn8+FlINP6OiMX7V8HrvpATPN936U1LlReOJriLRa4e8yEqQBYCnLyPNAs7Q==',
  'linux-arm64':
    'sha512-FpJRPEz2OvvTLfjIOlNGFY9JLPMKgl5m+d4oGYBLg24kJ1mmvN1Zl/HPJgF4HDaJ51ISev1l1cRZ/DM+keXW5g==',
};

/** The path of a Node of at least version 24, fetched first when need be. */
export async function ensureNode(progress) {
  if (Number.parseInt(process.versions.node, 10) >= wantedMajor) return process.execPath;
  const target = `${process.platform}-${process.arch}`;
  const home = path.join(toolsDirectory, `node-${pinnedVersion}`);
  const binary = path.join(home, 'node_modules', `node-${target}`, 'bin', 'node');
  if (existsSync(binary)) return binary;

  // The fetched binaries are linked against glibc; Alpine and its kin have musl.
  const integrity = libc === 'musl' ? undefined : pinnedIntegrity[target];
  if (integrity === undefined) {
    throw new SetupError(
      `Kymo needs Node ${wantedMajor} or newer; this is Node ${process.versions.node}, and none can be fetched for ${target}.`,
      {
        next: `install Node ${wantedMajor} from your system's packages or nodejs.org, then run the same command again.`,
      },
    );
  }
  await withSetUpLock(progress, async () => {
    if (existsSync(binary)) return;
    const texts = { doing: `Fetching Node ${pinnedVersion}`, done: `Node ${pinnedVersion} fetched` };
    await progress.step(texts, () => fetchNode({ target, home, integrity }));
  });
  return binary;
}

/** Installs beside the final place and moves it there when verified, so that an interrupted fetch leaves nothing. */
async function fetchNode({ target, home, integrity }) {
  const staging = `${home}.new`;
  const name = `node-${target}`;
  rmSync(staging, { recursive: true, force: true });
  mkdirSync(staging, { recursive: true });
  writeFileSync(path.join(staging, 'package.json'), '{ "private": true }\n');
  await runNpm(['install', '--prefix', staging, '--no-save', `${name}@${pinnedVersion}`], {
    cwd: staging,
    what: `Fetching Node ${pinnedVersion}`,
  });

  const installed = readJson(path.join(staging, 'node_modules', '.package-lock.json'));
  const received = installed?.packages?.[`node_modules/${name}`]?.integrity;
  if (received !== integrity) {
    rmSync(staging, { recursive: true, force: true });
    throw new SetupError(
      `The fetched ${name}@${pinnedVersion} is not the one that Kymo pins (got ${received}).`,
      {
        next: 'check which registry npm uses (`npm config get registry`), or install Node 24 yourself.',
      },
    );
  }
  const binary = path.join(staging, 'node_modules', name, 'bin', 'node');
  const trial = await runQuietly(binary, ['--version']);
  if (trial.output.trim() !== `v${pinnedVersion}`) {
    throw new SetupError(`The fetched Node ${pinnedVersion} does not run on this machine.`, {
      output: trial.output,
      next: 'install Node 24 from your system or nodejs.org, then run the same command again.',
    });
  }
  rmSync(home, { recursive: true, force: true });
  renameSync(staging, home);
}

/** The environment for programs that should find this Node first when they start `node` themselves. */
export function environmentWithNode(node) {
  return { ...process.env, PATH: `${path.dirname(node)}${path.delimiter}${process.env.PATH ?? ''}` };
}
