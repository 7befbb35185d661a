/** Owns the quiet list of what happened: sessions, devices, commands. Nothing pops up, and nothing moves but this list. */

import { Link } from '@tanstack/react-router';
import { useState } from 'react';

import { useChannel } from '#sdk/react-hooks.ts';
import { formatLocal, formatUtc } from '#web/format.ts';
import { LiveConnection } from '#web/live-connection.tsx';
import { newsOf, type NewsItem, type NewsMessage } from '#web/news-words.ts';

/** A day of a clinic. */
const SHOWN = 20;

export function NewsList() {
  return (
    <section className="news" aria-labelledby="news-title">
      <h2 id="news-title">What happened</h2>
      <LiveConnection waiting={<p className="muted small">Reading the notifications</p>}>
        <News />
      </LiveConnection>
    </section>
  );
}

function News() {
  const { status, messages, refusal } = useChannel('notifications', { last: SHOWN, keep: SHOWN });
  // Times of other days have their date.
  const [opened] = useState(() => new Date());
  const news = newsOf(messages as unknown as readonly NewsMessage[]);
  if (refusal !== null)
    return <p className="muted small">Notifications cannot be shown: {refusal.message}.</p>;
  if (status === 'waiting') return <p className="muted small">Reading the notifications</p>;
  if (news.length === 0)
    return (
      <p className="muted small">
        Nothing yet. Sessions that begin and end, lost devices and refused commands are listed here.
      </p>
    );
  return (
    <ol reversed>
      {news.map((item) => (
        <NewsRow key={item.offset} item={item} today={opened} />
      ))}
    </ol>
  );
}

function NewsRow({ item, today }: { item: NewsItem; today: Date }) {
  const { words, session, timeUs, needsAttention } = item;
  const when = new Date(timeUs / 1000);
  return (
    <li>
      <time className="muted" dateTime={when.toISOString()} title={formatUtc(when)}>
        {formatLocal(when, today)}
      </time>
      <span className={needsAttention ? 'needs-attention' : ''}>
        {session === null ? (
          words
        ) : (
          <Link to="/sessions/$id" params={{ id: session }}>
            {words}
          </Link>
        )}
      </span>
    </li>
  );
}
