/** Owns the talk about a session on its page: what was said and read, who is here, and a field to say something. */

import { Button } from '@mantine/core';
import { useEffect, useRef, useState, type FormEvent, type KeyboardEvent, type RefObject } from 'react';

import { systemClock } from '#base/clock.ts';
import { AppError, messageOf } from '#base/errors.ts';
import { uuidv7 } from '#base/uuid.ts';
import { useChannel, useConnection, usePresence } from '#sdk/react-hooks.ts';
import { formatLocal, formatUtc } from '#web/format.ts';
import { talkOf, whoIsHere, type TalkEntry, type TalkMessage } from '#web/session/talk-model.ts';

/** What one look takes in; a page of history is 256. */
const SHOWN = 100;
/** Longer than scrolling past takes. */
const READ_AFTER_MS = 1_000;
const TEXT_CHARACTERS = 2_000;

/** Begins anew when messages were lost that will not come, such as after a restore. */
export function Talk({ session }: { session: string }) {
  const [life, setLife] = useState(0);
  return <TalkLife key={life} session={session} lost={() => setLife(life + 1)} />;
}

function TalkLife({ session, lost }: { session: string; lost: () => void }) {
  const channel = `session/${session}/chat`;
  const [seat] = useState(() => uuidv7(systemClock));
  const { status, messages, gap, refusal, client } = useChannel(channel, { last: SHOWN, state: { seat } });
  const { members } = usePresence(channel);
  const { name: connection } = useConnection();
  const { me, others } = whoIsHere(members, seat);
  const talk = talkOf(messages as readonly TalkMessage[], me);
  const section = useRef<HTMLElement>(null);
  useEffect(() => {
    if (gap !== null) lost();
  }, [gap, lost]);
  useReceipts(section, talk.unread, (upTo) => client.publish('receipt', { upTo }, { key: `read ${upTo}` }));
  return (
    <section ref={section} className="talk" aria-labelledby="talk-title">
      <header>
        <h2 id="talk-title">Talk</h2>
        <p className="muted small" role="status">
          {connection === 'open' ? presenceWords(me, others) : 'Not connected'}
        </p>
      </header>
      {refusal === null ? (
        <TalkLog entries={talk.entries} isLoading={status === 'waiting'} />
      ) : (
        <p className="needs-attention" role="alert">
          What was said cannot be shown: {refusal.message}. The session itself is not affected.
        </p>
      )}
      <TalkForm
        isDisabled={refusal !== null}
        send={(text, key) => client.publish('message', { text }, { key })}
      />
    </section>
  );
}

function presenceWords(me: string | null, others: number): string {
  if (me === null) return '\u00a0';
  if (others === 0) return 'Nobody else is here';
  return `You and ${others === 1 ? 'one other' : `${others} others`} are here`;
}

function TalkLog({ entries, isLoading }: { entries: readonly TalkEntry[]; isLoading: boolean }) {
  const log = useRef<HTMLDivElement>(null);
  // Times of other days have their date.
  const [opened] = useState(() => new Date());
  const newest = entries.at(-1)?.offset;
  // What comes is seen, unless somebody reads further up.
  useEffect(() => {
    const box = log.current;
    if (newest === undefined || box === null) return;
    if (box.scrollHeight - box.scrollTop - box.clientHeight < 160) box.scrollTop = box.scrollHeight;
  }, [newest]);
  return (
    <div
      ref={log}
      className="talk-log"
      role="log"
      aria-labelledby="talk-title"
      aria-busy={isLoading}
      // oxlint-disable-next-line jsx-a11y/no-noninteractive-tabindex -- a region that scrolls is reached by keyboard
      tabIndex={0}
    >
      {isLoading && <p className="muted">Reading what was said</p>}
      {!isLoading && entries.length === 0 && (
        <p className="muted">
          Nothing was said yet. What you write stays with the session, and everyone of your organisation sees
          it.
        </p>
      )}
      {entries.map((entry) => (
        <TalkLine key={entry.offset} entry={entry} today={opened} />
      ))}
    </div>
  );
}

function TalkLine({ entry, today }: { entry: TalkEntry; today: Date }) {
  const { author, isOwn, text, timeUs, readers } = entry;
  const said = new Date(timeUs / 1000);
  return (
    <article className="talk-line" data-own={isOwn}>
      <p className="muted small">
        <span className="talk-author">{isOwn ? 'You' : author}</span>{' '}
        <time dateTime={said.toISOString()} title={formatUtc(said)}>
          {formatLocal(said, today)}
        </time>
        {isOwn && readers > 0 && <span>, read by {readers}</span>}
      </p>
      <p className="talk-text">{text}</p>
    </article>
  );
}

interface Draft {
  readonly text: string;
  /** The same for every attempt: however often it is sent, it is said once. */
  readonly key: string;
}

const newDraft = (text: string): Draft => ({ text, key: uuidv7(systemClock) });

function TalkForm({
  isDisabled,
  send,
}: {
  isDisabled: boolean;
  send: (text: string, key: string) => Promise<unknown>;
}) {
  const [draft, setDraft] = useState(() => newDraft(''));
  const [isSending, setIsSending] = useState(false);
  const [problem, setProblem] = useState<string | null>(null);
  const say = async (): Promise<void> => {
    if (draft.text.trim() === '' || isSending) return;
    setIsSending(true);
    setProblem(null);
    try {
      await send(draft.text, draft.key);
      setDraft(newDraft(''));
    } catch (error) {
      setProblem(problemWords(error));
    } finally {
      setIsSending(false);
    }
  };
  const submit = (event: FormEvent): void => {
    event.preventDefault();
    void say();
  };
  const onKey = (event: KeyboardEvent): void => {
    if (event.key !== 'Enter' || event.shiftKey || event.nativeEvent.isComposing) return;
    event.preventDefault();
    void say();
  };
  return (
    <form className="talk-form" onSubmit={submit}>
      <label htmlFor="talk-text" className="small muted">
        Message to everyone with this session. Enter sends, Shift and Enter make a new line.
      </label>
      <div>
        <textarea
          id="talk-text"
          rows={2}
          maxLength={TEXT_CHARACTERS}
          value={draft.text}
          disabled={isDisabled}
          aria-describedby="talk-problem"
          onChange={(event) => setDraft(newDraft(event.currentTarget.value))}
          onKeyDown={onKey}
        />
        <Button
          type="submit"
          variant="default"
          disabled={isDisabled || isSending || draft.text.trim() === ''}
        >
          Send
        </Button>
      </div>
      <p id="talk-problem" className="needs-attention small" role="status">
        {problem}
      </p>
    </form>
  );
}

/** What went wrong, that nothing is lost, and what to do. */
export function problemWords(error: unknown): string {
  const isTemporary = error instanceof AppError && error.temporary;
  const next = isTemporary ? 'Try again in a moment: it is not done twice.' : 'It was not done.';
  return `This did not reach the server: ${messageOf(error)}. ${next}`;
}

/** Confirms what was there to be read for a while: the page in front, and the talk within it. */
function useReceipts(
  section: RefObject<HTMLElement | null>,
  unread: number | null,
  confirm: (upTo: number) => Promise<unknown>,
): void {
  const latest = useRef(confirm);
  useEffect(() => {
    latest.current = confirm;
  });
  useEffect(() => {
    const element = section.current;
    if (unread === null || element === null) return;
    let timer: ReturnType<typeof setTimeout> | undefined;
    let isInView = false;
    const look = (): void => {
      clearTimeout(timer);
      if (!isInView || document.visibilityState !== 'visible') return;
      // One that is lost is made up for by the next.
      timer = setTimeout(() => void latest.current(unread).catch(() => undefined), READ_AFTER_MS);
    };
    const observer = new IntersectionObserver(([entry]) => {
      isInView = entry?.isIntersecting === true;
      look();
    });
    observer.observe(element);
    document.addEventListener('visibilitychange', look);
    return () => {
      clearTimeout(timer);
      observer.disconnect();
      document.removeEventListener('visibilitychange', look);
    };
  }, [section, unread]);
}
