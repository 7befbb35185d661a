/**
 * Owns the program of a simulated device: which streams it records, what it pushes into them, and what it does when a
 * stream is refused. What it wishes outlives its process, as a configuration does.
 */

import { AppError } from '#base/errors.ts';
import { uuidv7 } from '#base/uuid.ts';
import type { Device, DeviceStream } from '#sdk/device-runtime.ts';
import type { DeviceNode, DeviceNodeOptions, StreamPlan } from '#test/simulation/device-node.ts';
import { writeReading } from '#test/simulation/readings.ts';
import type { Process } from '#test/simulation/scheduler.ts';

/** One stream of the plan, across processes. */
export interface ProgramStream {
  readonly plan: StreamPlan;
  id: string;
  axes: number;
  wish: 'none' | 'recording' | 'paused' | 'ended';
}

export interface DeviceProgram {
  /** The wish has changed. */
  follow(stream: ProgramStream): void;
  lose(stream: ProgramStream, count: number): void;
  /** The server does not take it. */
  refused(streamId: string, code: string): void;
}

export interface ProgramOptions extends DeviceNodeOptions {
  readonly node: DeviceNode;
  readonly device: Device;
  readonly process: Process;
  readonly streams: readonly ProgramStream[];
}

interface OpenStream {
  readonly id: string;
  readonly axes: number;
  readonly stream: DeviceStream;
  cancelPush: () => void;
  isPushing: boolean;
}

export function createDeviceProgram(options: ProgramOptions): DeviceProgram {
  const { node, device, process, observer, plan, streams } = options;
  const { clock } = node;
  const opened = new Map<ProgramStream, OpenStream>();

  function follow(own: ProgramStream): void {
    let open = opened.get(own);
    if (open !== undefined && (own.wish === 'ended' || open.id !== own.id)) {
      stopPushing(open);
      void open.stream.end();
      opened.delete(own);
      open = undefined;
    }
    if (own.wish === 'none' || own.wish === 'ended') return;
    open ??= openStream(own);
    if (own.wish === 'paused') stopPushing(open);
    else startPushing(own, open);
  }

  /** Under another id when the store has the stream with other axes, or knows that it ended. */
  function openStream(own: ProgramStream): OpenStream {
    const stream = tryOpen(own) ?? tryOpen(own);
    if (stream === null) throw new Error(`${node.name}: a new stream is refused by the store`);
    const open = { id: own.id, axes: own.axes, stream, cancelPush: () => undefined, isPushing: false };
    opened.set(own, open);
    return open;
  }

  function tryOpen(own: ProgramStream): DeviceStream | null {
    try {
      return device.stream({
        segment: `segment-${streams.indexOf(own)}`,
        sensor: 'imu',
        axes: Array.from({ length: own.axes }, (_, axis) => ({ name: `axis-${axis}`, unit: '1' })),
        rateHz: own.plan.rateHz,
        clock: plan.clock ?? 'device',
        session: node.sessionId,
        stream: own.id,
      });
    } catch (thrown) {
      if (!(thrown instanceof AppError) || !['stream-mismatch', 'stream-closed'].includes(thrown.code))
        throw thrown;
      observer.note(`${node.name}: the store refuses a stream`, { stream: own.id, code: thrown.code });
      own.id = uuidv7(clock);
      return null;
    }
  }

  function stopPushing(open: OpenStream): void {
    open.isPushing = false;
    open.cancelPush();
  }

  function startPushing(own: ProgramStream, open: OpenStream): void {
    if (open.isPushing) return;
    open.isPushing = true;
    const { readingsPerPush, rateHz } = own.plan;
    const values = new Float32Array(open.axes * readingsPerPush);
    const everyMs = (readingsPerPush / rateHz) * 1000;
    const later = (): void => {
      open.cancelPush = clock.after(everyMs, () => {
        later();
        push(open, values, own.plan);
      });
    };
    later();
  }

  function push(open: OpenStream, values: Float32Array, { readingsPerPush, rateHz }: StreamPlan): void {
    const { stream, axes } = open;
    const periodUs = 1e6 / rateHz;
    const firstUs = Math.round(clock.nowUs() - (readingsPerPush - 1) * periodUs);
    const { session: sessionId } = stream.definition;
    for (let i = 0; i < readingsPerPush; i++) {
      const id = options.nextReadingId();
      writeReading(values, i * axes, id, axes);
      observer.pushed(node, { id, streamId: open.id, sessionId, timeUs: firstUs + Math.round(i * periodUs) });
    }
    stream.push(values, firstUs);
  }

  // What an earlier process had open and this one does not want is over.
  for (const own of streams) if (own.wish === 'recording' || own.wish === 'paused') follow(own);
  device.endUnfinished();

  return {
    follow,
    lose(own, count) {
      const open = opened.get(own);
      if (open === undefined) return;
      observer.skipped(node, open.id, count);
      open.stream.lose(count);
    },
    refused(streamId, code) {
      if (code !== 'stream-mismatch') return;
      for (const [own, open] of opened)
        if (open.id === streamId && own.id === streamId)
          // Not within the runtime's own call.
          options.scheduler.after(0, process, () => {
            if (own.id !== streamId) return;
            own.id = uuidv7(clock);
            follow(own);
          });
    },
  };
}
