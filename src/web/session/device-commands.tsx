/** Owns the commands of a session's devices on its page: a button that gives the wearer a cue, and what became of each. */

import { Button } from '@mantine/core';
import { useEffect, useState } from 'react';

import { systemClock } from '#base/clock.ts';
import { uuidv7 } from '#base/uuid.ts';
import type { SessionDetail } from '#contract/rest.ts';
import { useChannel, useConnection } from '#sdk/react-hooks.ts';
import { formatLocal, formatSegment, formatUtc } from '#web/format.ts';
import {
  commandsOf,
  describeCommand,
  isOpen,
  type CommandMessage,
  type ShownCommand,
} from '#web/session/command-model.ts';
import { problemWords } from '#web/session/talk.tsx';

/** A cue is for now: a device that is away for longer shall not give it. */
const CUE_MS = 10_000;
const SHOWN = 5;
/** A page follows at most 64 channels; nobody gives cues to more devices of one session. */
const MAX_DEVICES = 16;
/** Four messages at most belong to a command. */
const READ = 40;

export interface DevicesProps {
  readonly streams: SessionDetail['streams'];
}

export function Devices({ streams }: DevicesProps) {
  const devices = Map.groupBy(streams, ({ deviceId }) => deviceId);
  return (
    <section className="devices" aria-labelledby="devices-title">
      <h2 id="devices-title">Devices</h2>
      {devices.size === 0 && <p className="muted">A device appears here when it opens a stream.</p>}
      {[...devices].slice(0, MAX_DEVICES).map(([id, own]) => (
        <DeviceCommands
          key={id}
          device={id}
          segments={own.map(({ definition }) => formatSegment(definition.segment)).join(', ')}
        />
      ))}
    </section>
  );
}

function DeviceCommands({ device, segments }: { device: string; segments: string }) {
  const { status, messages, refusal, client } = useChannel(`device/${device}/commands`, {
    last: READ,
    keep: READ,
  });
  const { name: connection } = useConnection();
  const [problem, setProblem] = useState<string | null>(null);
  const [nowUs, setNowUs] = useState(() => systemClock.nowUs());
  const commands = commandsOf(messages as readonly CommandMessage[], nowUs);
  const hasOpen = commands.some(isOpen);
  useEffect(() => {
    if (!hasOpen) return;
    const timer = setInterval(() => setNowUs(systemClock.nowUs()), 1_000);
    return () => clearInterval(timer);
  }, [hasOpen]);
  const cue = async (): Promise<void> => {
    setProblem(null);
    const id = uuidv7(systemClock);
    try {
      await client.publish('request', { command: 'cue', id, expiresMs: CUE_MS }, { key: id });
    } catch (error) {
      setProblem(problemWords(error));
    }
  };
  return (
    <div className="device">
      <div className="device-head">
        <span>
          {segments}{' '}
          <code className="muted small" title={device}>
            {device.slice(-8)}
          </code>
        </span>
        <Button
          variant="default"
          size="xs"
          disabled={refusal !== null || connection !== 'open'}
          title="A signal that the wearer feels, such as a vibration"
          aria-label={`Give a cue on ${segments}`}
          onClick={() => void cue()}
        >
          Give a cue
        </Button>
      </div>
      <p className="needs-attention small" role="status">
        {refusal === null ? problem : `Commands cannot be shown: ${refusal.message}.`}
      </p>
      <p className="unseen" role="status">
        {commands[0] === undefined ? '' : describeCommand(commands[0])}
      </p>
      {status === 'following' && commands.length === 0 ? (
        <p className="muted small">No command was given yet.</p>
      ) : (
        <ul className="command-list" aria-label={`Commands to ${segments}`} aria-busy={status === 'waiting'}>
          {commands.slice(0, SHOWN).map((command) => (
            <CommandRow key={command.id} command={command} today={new Date(nowUs / 1000)} />
          ))}
        </ul>
      )}
    </div>
  );
}

function CommandRow({ command, today }: { command: ShownCommand; today: Date }) {
  const asked = new Date(command.timeUs / 1000);
  return (
    <li data-state={command.state}>
      <span className={command.state === 'refused' || command.state === 'expired' ? 'needs-attention' : ''}>
        {describeCommand(command)}
      </span>
      <time className="muted small" dateTime={asked.toISOString()} title={formatUtc(asked)}>
        {formatLocal(asked, today)}
      </time>
    </li>
  );
}
