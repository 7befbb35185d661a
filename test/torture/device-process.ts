/**
 * Owns a device process of a torture run: several devices on one event loop, a timer that lets them record, and the lines
 * to the run. It ends when its input does, so that it never outlives the run.
 */

import { onCommand, say } from '#bench/support/control-channel.ts';
import { createSharedClock } from '#bench/support/machine.ts';
import { messageOf } from '#base/errors.ts';
import type { DeviceProcessMessage, DeviceProcessPlan, EndCommand } from '#test/torture/device-messages.ts';
import { openTorturedDevice, type TorturedDevice } from '#test/torture/tortured-device.ts';

/** Four readings at 200 Hz, as a sensor's buffer gives them. */
const PUSH_MS = 20;
const SAMPLE_MS = 500;

const tell = (message: DeviceProcessMessage): void => say(message);

interface Running {
  readonly devices: readonly TorturedDevice[];
  readonly stopRecording: () => void;
}

async function run(plan: DeviceProcessPlan): Promise<Running> {
  const nowUs = createSharedClock(plan.clockBaseUs);
  const { seed, life, streams, streamSeconds } = plan;
  const devices = await Promise.all(
    plan.devices.map((device) =>
      openTorturedDevice({
        plan: device,
        seed,
        life,
        streams,
        streamSeconds,
        nowUs,
        onAcknowledged: (atUs, settled) =>
          tell({ type: 'acknowledged', device: device.device, atUs, settled }),
        onTrouble: (text) => tell({ type: 'trouble', device: device.device, text }),
      }),
    ),
  );
  const recording = setInterval(() => {
    const atUs = nowUs();
    for (const device of devices) device.advance(atUs);
  }, PUSH_MS);
  setInterval(() => {
    const atUs = nowUs();
    tell({ type: 'sample', devices: devices.map((device) => device.sample(atUs)) });
  }, SAMPLE_MS);
  tell({ type: 'recording' });
  return { devices, stopRecording: () => clearInterval(recording) };
}

async function end({ devices, stopRecording }: Running, timeoutMs: number): Promise<void> {
  stopRecording();
  const outcomes = await Promise.all(devices.map((device) => device.end(timeoutMs)));
  const left = devices.filter((_, i) => outcomes[i] !== true).map((device) => device.left());
  tell({ type: 'ended', isDrained: left.length === 0, left });
}

let running: Promise<Running> | null = null;

onCommand((command) => {
  if (command.type === 'plan') running = run(command as DeviceProcessPlan);
  else if (command.type === 'end')
    void running?.then((started) => end(started, (command as EndCommand).timeoutMs));
  running?.catch((thrown: unknown) => {
    process.stderr.write(`${messageOf(thrown)}\n`);
    process.exit(1);
  });
});
