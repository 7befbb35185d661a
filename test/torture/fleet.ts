/**
 * Owns the tortured fleet: devices spread over processes, each device behind a link of its own, what they report as it
 * comes, and their processes' deaths and new lives. The first process holds the calm devices, one a server, which no
 * fault aims at: theirs is the latency that is reported while others suffer.
 */

import { mkdirSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { systemClock } from '#base/clock.ts';
import { uuidv7 } from '#base/uuid.ts';
import type { NewlyAcknowledged } from '#test/torture/acknowledgement-audit.ts';
import type { BadLink } from '#test/torture/bad-link.ts';
import type { DeviceProcessMessage, DeviceProcessPlan, DeviceSample } from '#test/torture/device-messages.ts';
import { clockPreload, startLineProcess, type LineProcess } from '#test/torture/line-process.ts';

const processFile = fileURLToPath(new URL('device-process.ts', import.meta.url));
/** As many as share an event loop, and a death. */
const DEVICES_A_PROCESS = 2;
/** A store that was left behind is read again before its process records. */
const RECORDING_MS = 60_000;

export interface FleetDevice {
  readonly device: number;
  readonly isCalm: boolean;
  /** The server that it belongs to when nothing is wrong. */
  readonly home: number;
  readonly session: string;
  readonly link: BadLink;
  readonly storeDirectory: string;
  readonly process: FleetProcess;
  /** Shared clock; 0 before the first. */
  acknowledgedUs: number;
  sample: DeviceSample | null;
}

export interface FleetProcess {
  readonly index: number;
  readonly isCalm: boolean;
  readonly devices: readonly FleetDevice[];
  readonly isRunning: boolean;
  /** Resolves when its devices record. */
  start(): Promise<void>;
  signal(name: NodeJS.Signals): void;
  kill(): Promise<void>;
  setClock(skewMs: number): void;
  /** Ends its streams; resolves to what is left undelivered, empty when all was acknowledged. */
  drain(timeoutMs: number): Promise<readonly string[]>;
}

export interface FleetHandlers {
  readonly onSample: (device: FleetDevice, sample: DeviceSample) => void;
  readonly onAcknowledged: (device: FleetDevice, settled: readonly NewlyAcknowledged[]) => void;
  readonly onTrouble: (text: string) => void;
}

export interface FleetOptions extends FleetHandlers {
  readonly seed: number;
  readonly streams: number;
  readonly streamSeconds: readonly [number, number];
  readonly clockBaseUs: number;
  readonly directory: string;
  readonly logDirectory: string;
  readonly journalDirectory: string;
  readonly keys: readonly string[];
  readonly links: readonly BadLink[];
  readonly servers: number;
  /** Where a device's store lies, when not in the run's folder. */
  readonly storePlaces: ReadonlyMap<number, string>;
  /** Words before the command of the last process. */
  readonly lastPrefix: readonly string[];
}

export function createFleet(options: FleetOptions): readonly FleetProcess[] {
  const groups = groupsOf(options.keys.length, options.servers);
  return groups.map((numbers, index) =>
    createProcess(options, {
      numbers,
      index,
      prefix: index === groups.length - 1 ? options.lastPrefix : [],
    }),
  );
}

/** The devices of each process. */
export function groupsOf(devices: number, servers: number): readonly (readonly number[])[] {
  const groups: number[][] = [[]];
  for (let device = 0; device < devices; device++) {
    if (device < servers) groups[0]!.push(device);
    else if (groups.length > 1 && groups.at(-1)!.length < DEVICES_A_PROCESS) groups.at(-1)!.push(device);
    else groups.push([device]);
  }
  return groups;
}

function createProcess(
  options: FleetOptions,
  { numbers, index, prefix }: { numbers: readonly number[]; index: number; prefix: readonly string[] },
): FleetProcess {
  const clockFile = join(options.directory, `devices-${index}.clock`);
  const setClock = (skewMs: number): void => {
    writeFileSync(`${clockFile}.new`, String(skewMs));
    renameSync(`${clockFile}.new`, clockFile);
  };
  setClock(0);
  const devices: FleetDevice[] = [];
  let life = 0;
  let child: LineProcess | null = null;
  let waiting: { type: string; resolve: (message: DeviceProcessMessage) => void } | null = null;

  function hear(line: string): void {
    const message = JSON.parse(line) as DeviceProcessMessage;
    const deviceOf = (number: number): FleetDevice => devices.find(({ device }) => device === number)!;
    if (message.type === 'acknowledged') {
      const device = deviceOf(message.device);
      device.acknowledgedUs = message.atUs;
      options.onAcknowledged(device, message.settled);
    } else if (message.type === 'sample')
      for (const sample of message.devices) {
        const device = deviceOf(sample.device);
        device.sample = sample;
        options.onSample(device, sample);
      }
    else if (message.type === 'trouble') options.onTrouble(`device ${message.device}: ${message.text}`);
    if (waiting?.type === message.type) waiting.resolve(message);
  }

  function waitFor<T extends DeviceProcessMessage['type']>(
    type: T,
    timeoutMs: number,
  ): Promise<Extract<DeviceProcessMessage, { type: T }>> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(`device process ${index} is not ${type}`)), timeoutMs);
      waiting = {
        type,
        resolve: (message) => {
          clearTimeout(timer);
          waiting = null;
          resolve(message as Extract<DeviceProcessMessage, { type: T }>);
        },
      };
    });
  }

  async function startOnce(): Promise<boolean> {
    const words = [...prefix, process.execPath, '--import', clockPreload, processFile];
    const started = startLineProcess({
      command: words[0]!,
      args: words.slice(1),
      cwd: options.directory,
      env: { KYMO_TORTURE_CLOCK: clockFile },
      logFile: join(options.logDirectory, `devices-${index}.log`),
      onLine: hear,
    });
    child = started;
    const ended = started.ended.then(() => {
      if (child === started) child = null;
      return false;
    });
    const recording = waitFor('recording', RECORDING_MS).then(() => true);
    started.send(planOf(options, devices, life++));
    return Promise.race([recording, ended]);
  }

  const fleetProcess: FleetProcess = {
    index,
    isCalm: index === 0,
    devices,
    get isRunning() {
      return child !== null;
    },
    async start() {
      const giveUpAtMs = performance.now() + RECORDING_MS;
      // A store whose disk is full at the moment opens later, as whoever supervises a device would try again.
      while (!(await startOnce())) {
        if (performance.now() > giveUpAtMs) throw new Error(`device process ${index} does not record`);
        await new Promise((resolve) => setTimeout(resolve, 300));
      }
    },
    signal: (name) => child?.signal(name),
    async kill() {
      const ending = child;
      ending?.signal('SIGKILL');
      await ending?.ended;
    },
    setClock,
    async drain(timeoutMs) {
      const ended = waitFor('ended', timeoutMs + 10_000);
      child?.send({ type: 'end', timeoutMs });
      return (await ended).left;
    },
  };
  for (const device of numbers) {
    const storeDirectory = options.storePlaces.get(device) ?? join(options.directory, `store-${device}`);
    mkdirSync(storeDirectory, { recursive: true });
    devices.push({
      device,
      isCalm: index === 0,
      home: device % options.servers,
      session: uuidv7(systemClock),
      link: options.links[device]!,
      storeDirectory,
      process: fleetProcess,
      acknowledgedUs: 0,
      sample: null,
    });
  }
  return fleetProcess;
}

function planOf(options: FleetOptions, devices: readonly FleetDevice[], life: number): DeviceProcessPlan {
  const { seed, streams, streamSeconds, clockBaseUs, journalDirectory, keys } = options;
  return {
    type: 'plan',
    clockBaseUs,
    seed,
    life,
    streams,
    streamSeconds,
    devices: devices.map(({ device, session, link, storeDirectory }) => ({
      device,
      url: `http://${link.host}:${link.port}`,
      key: keys[device]!,
      session,
      storeDirectory,
      journalFile: join(journalDirectory, `device-${device}.journal`),
    })),
  };
}
