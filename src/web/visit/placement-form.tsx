/** Owns the assigning of sensors to places on the body; one that records elsewhere is refused, what looks odd is flagged. */

import { Button } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { Link } from '@tanstack/react-router';
import { useState } from 'react';

import type { DevicePage } from '#contract/rest.ts';
import { visitLimits, type Visit } from '#contract/visit.ts';
import { segments } from '#motion/body-model.ts';
import { Form, FormFoot } from '#web/form/fields.tsx';
import { useSubmit } from '#web/form/submit-hook.ts';
import { formatSegment } from '#web/format.ts';
import { sideOf } from '#web/live/axis-groups.ts';
import { server } from '#web/server.ts';
import { isChanged, placementRows, placementsOf, type PlacementDraft } from '#web/visit/placement-rows.ts';
import { visitCalls, visitChanged } from '#web/visit/visit-queries.ts';

export function PlacementForm({ visit, isLocked }: { visit: Visit; isLocked: boolean }) {
  const [rows, setRows] = useState(() => placementRows(visit));
  const devices = useQuery({
    queryKey: ['devices', 'choice'],
    queryFn: ({ signal }) => server.call<DevicePage>('GET', '/v1/devices?limit=100', { signal }),
  });
  const submission = useSubmit(async () => {
    const body = { revision: visit.revision, placements: placementsOf(rows) };
    await visitChanged(await visitCalls.place(visit.session.id, body));
  });
  const change = (key: number, over: Partial<PlacementDraft>): void =>
    setRows(rows.map((row) => (row.key === key ? { ...row, ...over } : row)));
  const known = devices.data?.devices.filter(({ revokedAt }) => revokedAt === null) ?? [];
  if (devices.data !== undefined && known.length === 0)
    return (
      <p className="muted list-note">
        There is no device yet. <Link to="/devices">Add one</Link>, then assign it here.
      </p>
    );
  return (
    <Form submission={submission}>
      <ul className="placements" aria-busy={devices.isPending}>
        {rows.map((row, i) => (
          <PlacementRow
            key={row.key}
            row={row}
            number={i + 1}
            devices={known}
            isLocked={isLocked}
            change={(over) => change(row.key, over)}
            remove={() => setRows(rows.filter(({ key }) => key !== row.key))}
          />
        ))}
      </ul>
      {rows.length === 0 && (
        <p className="muted list-note">No sensor is assigned. Without one, the session records nothing.</p>
      )}
      {!isLocked && (
        <FormFoot submission={submission} label="Assign" isDisabled={!isChanged(rows, visit)}>
          {rows.length < visitLimits.placements && (
            <Button variant="default" onClick={() => setRows([...rows, emptyRow(rows)])}>
              Another sensor
            </Button>
          )}
        </FormFoot>
      )}
    </Form>
  );
}

function emptyRow(rows: readonly PlacementDraft[]): PlacementDraft {
  const key = Math.max(0, ...rows.map((row) => row.key)) + 1;
  const free = segments.find((segment) => !rows.some((row) => row.segment === segment));
  return { key, segment: free ?? segments[0], deviceId: '', deviceName: '', isRequired: false };
}

interface PlacementRowProps {
  readonly row: PlacementDraft;
  readonly number: number;
  readonly devices: DevicePage['devices'];
  readonly isLocked: boolean;
  readonly change: (over: Partial<PlacementDraft>) => void;
  readonly remove: () => void;
}

function PlacementRow({ row, number, devices, isLocked, change, remove }: PlacementRowProps) {
  const { segment, deviceId, isRequired } = row;
  const places = (segments as readonly string[]).includes(segment) ? segments : [segment, ...segments];
  return (
    <li>
      <span className="side-mark" data-side={sideOf(segment)} aria-hidden="true" />
      <select
        className="input"
        aria-label={`Place ${number} on the body`}
        disabled={isLocked}
        value={segment}
        onChange={(event) => change({ segment: event.currentTarget.value })}
      >
        {places.map((place) => (
          <option key={place} value={place}>
            {formatSegment(place)}
          </option>
        ))}
      </select>
      <select
        className="input"
        aria-label={`Sensor on ${formatSegment(segment)}`}
        disabled={isLocked}
        value={deviceId}
        onChange={(event) => change({ deviceId: event.currentTarget.value })}
      >
        <option value="">{isRequired ? 'Choose a sensor (needed)' : 'Choose a sensor'}</option>
        {deviceId !== '' && !devices.some(({ id }) => id === deviceId) && (
          <option value={deviceId}>{row.deviceName}</option>
        )}
        {devices.map(({ id, name }) => (
          <option key={id} value={id}>
            {name}
          </option>
        ))}
      </select>
      {!isLocked && (
        <Button
          variant="default"
          size="xs"
          aria-label={`Remove the sensor on ${formatSegment(segment)}`}
          onClick={remove}
        >
          Remove
        </Button>
      )}
    </li>
  );
}
