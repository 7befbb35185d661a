/** Owns everything that was written down of a programme, newest day first: how often, how much it hurt, in which words. */

import { useState } from 'react';

import type { EntryPage, Programme, ProgrammeEntry } from '#contract/care.ts';
import { useAuthorWords } from '#web/clinic/author-words.ts';
import { dayWords } from '#web/clinic/day-words.ts';
import { programmePath, type ProgrammeAddress } from '#web/clinic/programme-entries-query.ts';
import { usePages } from '#web/list/pages-query.ts';
import { PlainPages } from '#web/list/plain-pages.tsx';

export function EntryList({ programme, address }: { programme: Programme; address: ProgrammeAddress }) {
  const [isOpen, setIsOpen] = useState(false);
  return (
    <details onToggle={(event) => setIsOpen(event.currentTarget.open)}>
      <summary className="small">Everything that was written down</summary>
      {isOpen && <Entries programme={programme} address={address} />}
    </details>
  );
}

function Entries({ programme, address }: { programme: Programme; address: ProgrammeAddress }) {
  const authorWords = useAuthorWords();
  const pages = usePages({
    key: ['entries', address.programmeId, 'all'],
    path: `${programmePath(address)}/entries`,
    rowsOf: (page: EntryPage) => page.entries,
  });
  const nameOf = (id: string): string =>
    programme.exercises.find((exercise) => exercise.id === id)?.name ?? 'an exercise that was taken out';
  return (
    <PlainPages pages={pages} keyOf={({ day, exercise }) => `${day} ${exercise}`} empty="Nothing yet.">
      {(entry) => (
        <div className="note small">
          <p>
            {dayWords(entry.day)}: {nameOf(entry.exercise)}, {timesWords(entry)}
            <span className="muted">
              {entry.pain !== null && `, pain ${entry.pain} of 10`}
              {entry.effort !== null && `, effort ${entry.effort} of 10`}; {authorWords(entry.recordedBy)}
            </span>
          </p>
          {entry.comment !== '' && <p className="talk-text">{entry.comment}</p>}
        </div>
      )}
    </PlainPages>
  );
}

function timesWords({ times }: ProgrammeEntry): string {
  if (times === 0) return 'not done';
  return times === 1 ? 'once' : `${times} times`;
}
