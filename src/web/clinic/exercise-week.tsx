/**
 * Owns the last seven days of a programme's exercises, each day a button: one press says that it was done, another takes
 * that back. What has more to it (pain, effort, words) opens its form instead, so that no press loses any of it.
 */

import { useQuery } from '@tanstack/react-query';
import { useState } from 'react';

import type { Exercise, Programme, ProgrammeEntry } from '#contract/care.ts';
import { useAccount, useMay } from '#web/account/account-context.ts';
import { daysUpTo, spokenDay, today, weekdayOf } from '#web/clinic/day-words.ts';
import {
  WEEK_DAYS,
  weekQuery,
  writeEntry,
  type EntryPlace,
  type ProgrammeAddress,
} from '#web/clinic/programme-entries-query.ts';
import { amountWords } from '#web/clinic/programme-words.ts';
import { ProblemNotice, problemSentence } from '#web/page-states.tsx';

export interface ExerciseWeekProps {
  readonly programme: Programme;
  readonly address: ProgrammeAddress;
  /** Opens the form of a day. */
  readonly open: (place: EntryPlace, entry: ProgrammeEntry) => void;
}

export function ExerciseWeek({ programme, address, open }: ExerciseWeekProps) {
  const now = today();
  const days = daysUpTo(now, WEEK_DAYS);
  const week = useQuery(weekQuery(address, days[0]!));
  const [busy, setBusy] = useState<string | null>(null);
  const [said, setSaid] = useState('');
  const [problem, setProblem] = useState<string | null>(null);
  if (week.isLoadingError) return <ProblemNotice error={week.error} retry={() => void week.refetch()} />;
  const entryOf = (exercise: string, day: string): ProgrammeEntry | undefined =>
    week.data?.find((entry) => entry.exercise === exercise && entry.day === day);
  const press = (exercise: Exercise, day: string): void => {
    if (busy !== null || week.data === undefined) return;
    const place = { day, exercise: exercise.id };
    const entry = entryOf(exercise.id, day);
    if (entry !== undefined && !isPlain(entry)) {
      open(place, entry);
      return;
    }
    setBusy(`${exercise.id} ${day}`);
    setProblem(null);
    writeEntry(address, place, entry === undefined ? { times: 1 } : null)
      .then(() =>
        setSaid(
          `${exercise.name}, ${spokenDay(day)}: ${entry === undefined ? 'written down' : 'taken back'}`,
        ),
      )
      .catch((error: unknown) => setProblem(problemSentence(error)))
      .finally(() => setBusy(null));
  };
  return (
    <div className="week" aria-busy={week.isPending}>
      <ul>
        {programme.exercises.map((exercise) => (
          <li key={exercise.id}>
            <p>
              {exercise.name} <span className="muted small">{amountWords(exercise)}</span>
            </p>
            <div className="week-days" role="group" aria-label={`${exercise.name}, the last seven days`}>
              {days.map((day) => (
                <DayButton
                  key={day}
                  day={day}
                  isToday={day === now}
                  isOutside={
                    day < programme.beginsOn || (programme.endsOn !== null && day > programme.endsOn)
                  }
                  exercise={exercise}
                  entry={entryOf(exercise.id, day)}
                  isBusy={busy === `${exercise.id} ${day}`}
                  press={() => press(exercise, day)}
                />
              ))}
            </div>
          </li>
        ))}
      </ul>
      <p className="muted small week-said" role="status">
        {said}
      </p>
      {problem !== null && (
        <p className="needs-action small" role="alert">
          {problem}
        </p>
      )}
    </div>
  );
}

/** Nothing is lost when it goes. */
function isPlain({ times, pain, effort, comment }: ProgrammeEntry): boolean {
  return times === 1 && pain === null && effort === null && comment === '';
}

interface DayButtonProps {
  readonly day: string;
  readonly isToday: boolean;
  /** Before the programme began, or after it ended. */
  readonly isOutside: boolean;
  readonly exercise: Exercise;
  readonly entry: ProgrammeEntry | undefined;
  readonly isBusy: boolean;
  readonly press: () => void;
}

function DayButton({ day, isToday, isOutside, exercise, entry, isBusy, press }: DayButtonProps) {
  const may = useMay();
  const { role, person } = useAccount();
  const isOfClinic = role === 'patient' && entry !== undefined && entry.recordedBy !== `user:${person?.id}`;
  const isLocked = isOutside || isOfClinic || !may('programme.record');
  const words = isOutside ? 'not part of the programme' : entryWords(entry);
  const note = isOfClinic ? ', written down by your clinic' : '';
  return (
    <button
      type="button"
      className="week-day"
      aria-pressed={entry !== undefined && entry.times > 0}
      aria-disabled={isLocked}
      aria-busy={isBusy}
      title={`${spokenDay(day)}: ${words}${note}`}
      data-today={isToday}
      onClick={isLocked ? undefined : press}
    >
      <span className="unseen">
        {exercise.name}, {isToday && 'today, '}
      </span>
      <span className="week-name">{weekdayOf(day)}</span> <span>{Number(day.slice(8))}</span>
      <span className="unseen">
        , {words}
        {note}
      </span>
      <span className="week-mark" aria-hidden="true">
        {isOutside ? '' : markOf(entry)}
      </span>
    </button>
  );
}

function markOf(entry: ProgrammeEntry | undefined): string {
  if (entry === undefined) return '';
  if (entry.times === 0) return '0';
  return entry.times === 1 ? '✓' : `${entry.times}×`;
}

function entryWords(entry: ProgrammeEntry | undefined): string {
  if (entry === undefined) return 'nothing written down';
  const { times, pain, effort } = entry;
  const done = times === 0 ? 'not done' : times === 1 ? 'done' : `done ${times} times`;
  return [done, pain === null ? '' : `pain ${pain}`, effort === null ? '' : `effort ${effort}`]
    .filter((part) => part !== '')
    .join(', ');
}
