/** Owns what a search found: patients, sessions and notes, each leading to its page. What is searched for stays in a body. */

import { useQuery } from '@tanstack/react-query';
import { Link } from '@tanstack/react-router';
import type { ReactNode } from 'react';

import type { SearchFindings } from '#contract/clinic.ts';
import { formatCount } from '#web/format.ts';
import { Instant } from '#web/list/instant.tsx';
import { ProblemNotice } from '#web/page-states.tsx';
import { server } from '#web/server.ts';

const byWords: Readonly<Record<SearchFindings['patients'][number]['by'], string>> = {
  code: 'by code',
  name: 'by name',
  birthDate: 'by birth date',
  recordNumber: 'by record number',
  phone: 'by telephone',
  email: 'by e-mail address',
};

export function SearchResults({ text }: { text: string }) {
  const search = useQuery({
    queryKey: ['search', text],
    queryFn: ({ signal }) => server.call<SearchFindings>('POST', '/v1/search', { body: { text }, signal }),
    // What was found of a shorter text stays until the answer is there.
    placeholderData: (before) => before,
    gcTime: 10_000,
  });
  const { data } = search;
  if (search.isError) return <ProblemNotice error={search.error} retry={() => void search.refetch()} />;
  if (data === undefined) return <div className="empty" aria-busy="true" />;
  const found = data.patients.length + data.sessions.length + data.notes.length;
  return (
    <div aria-busy={search.isFetching}>
      <p className="unseen" role="status">
        {formatCount(found)} found
      </p>
      {found === 0 && (
        <div className="empty">
          <h2>Nothing found</h2>
          <p>
            A code or session is found by its beginning, a name, birth date (as 1961-04-23) or record number
            only when it is exactly that, a note by its words.
          </p>
        </div>
      )}
      <Findings title="Patients" isShown={data.patients.length > 0}>
        {data.patients.map((patient) => (
          <li key={patient.id}>
            <span>
              <Link to="/patients/$id" params={{ id: patient.id }}>
                {patient.code}
              </Link>{' '}
              {patient.diagnosis}
            </span>
            <span className="muted small">{byWords[patient.by]}</span>
          </li>
        ))}
      </Findings>
      <Findings title="Sessions" isShown={data.sessions.length > 0}>
        {data.sessions.map((session) => (
          <li key={session.id}>
            <Link to="/sessions/$id" params={{ id: session.id }}>
              {session.label === '' ? 'No label' : session.label}
            </Link>
            <span className="muted small">
              <Instant at={session.startedAt} />
            </span>
          </li>
        ))}
      </Findings>
      <Findings title="Notes" isShown={data.notes.length > 0}>
        {data.notes.map((note) => (
          <li key={note.id}>
            <span>
              <Link to="/patients/$id" params={{ id: note.patient }} search={{ part: 'notes' }}>
                {note.code}
              </Link>{' '}
              <span className="muted">{note.text}</span>
            </span>
            <span className="muted small">
              <Instant at={note.updatedAt} />
            </span>
          </li>
        ))}
      </Findings>
    </div>
  );
}

function Findings({ title, isShown, children }: { title: string; isShown: boolean; children: ReactNode }) {
  if (!isShown) return null;
  return (
    <section className="card findings">
      <h2>{title}</h2>
      <ul className="plain-list">{children}</ul>
    </section>
  );
}
