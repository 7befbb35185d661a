/** Owns what a page says when it has nothing to show: what happened, what is safe, and what to do next. */

import { Button, CopyButton } from '@mantine/core';
import { Link } from '@tanstack/react-router';
import { useContext } from 'react';

import { AppError, messageOf } from '#base/errors.ts';
import { AccountContext } from '#web/account/account-context.ts';
import { usePageTitle } from '#web/page-title.ts';

export function NotFound() {
  const role = useContext(AccountContext)?.role;
  usePageTitle('No such page');
  return (
    <div className="page">
      <div className="statement">
        <h1>There is nothing at this address</h1>
        <p>The link may be incomplete, or what it led to was removed, or is not yours to see.</p>
        <p>
          <Link to="/">{role === 'patient' ? 'My record' : 'All sessions'}</Link>
        </p>
      </div>
    </div>
  );
}

/** What a failure means to a person. The code stays visible: it is what documentation and logs name. */
export function describeProblem(error: unknown): { title: string; safe: string; next: string; code: string } {
  const code = error instanceof AppError ? error.code : 'internal';
  const safe = 'Readings that are already stored stay stored; devices keep the rest until it is.';
  switch (code) {
    case 'unreachable':
      return {
        title: 'The server does not answer',
        safe,
        next: 'The page tries again by itself. If it stays away, look at the terminal that runs Kymo.',
        code,
      };
    case 'store-unavailable':
      return {
        title: 'The database cannot be reached',
        safe: 'No data was lost: nothing is acknowledged to a device before it is stored, so devices keep it.',
        next: 'Live sessions are still shown. The list returns when the database does.',
        code,
      };
    case 'overloaded':
    case 'draining':
      return {
        title: code === 'draining' ? 'The server is stopping' : 'The server is busy',
        safe,
        next: 'The page tries again by itself.',
        code,
      };
    case 'unauthenticated':
      return {
        title: 'You are not signed in',
        safe: 'Nothing was changed.',
        next: 'Sign in again, or open the address that Kymo prints when it starts.',
        code,
      };
    case 'forbidden':
      return {
        title: 'You may not see that',
        safe: 'Nothing was changed.',
        next: 'An owner of your organisation can give you another role.',
        code,
      };
    case 'rate-limited':
      return {
        title: 'Too many requests in a short time',
        safe: 'Nothing was changed.',
        next: 'Wait a minute, then try again.',
        code,
      };
    case 'outdated':
      return {
        title: 'Somebody else changed this meanwhile',
        safe: 'Nothing of yours was stored, and nothing of theirs is lost.',
        next: 'Look at what it is now, then make your change again.',
        code,
      };
    default:
      return { title: 'The server could not answer', safe, next: `It said: ${messageOf(error)}`, code };
  }
}

/** What the server says of what somebody typed or asked for is said in its own words: they name the thing. */
const ownWords = new Set(['invalid-field', 'conflict', 'not-found', 'limit-exceeded', 'erased']);

/** What went wrong and what to do, as one paragraph below a form. */
export function problemSentence(error: unknown): string {
  if (error instanceof AppError && ownWords.has(error.code)) return sentence(error.message);
  const { title, next } = describeProblem(error);
  return `${title}. ${next}`;
}

function sentence(words: string): string {
  const text = words.charAt(0).toUpperCase() + words.slice(1);
  return /[.?]$/.test(text) ? text : `${text}.`;
}

/** A part of a page that could not be had; the rest of the page stays. */
export function ProblemNotice({ error, retry }: { error: unknown; retry: () => void }) {
  const { safe } = describeProblem(error);
  return (
    <div className="notice" role="alert">
      <span>
        {problemSentence(error)} {safe}
      </span>
      <Button variant="default" size="xs" onClick={retry}>
        Try now
      </Button>
    </div>
  );
}

export function ProblemState({ error, retry }: { error: unknown; retry: () => void }) {
  const { title, safe, next, code } = describeProblem(error);
  usePageTitle(title);
  return (
    <div className="page">
      <div className="statement" role="alert">
        <h1>{title}</h1>
        <p>{safe}</p>
        <p>{next}</p>
        <p className="muted small">Code: {code}</p>
        <Button variant="default" onClick={retry}>
          Try now
        </Button>
      </div>
    </div>
  );
}

/** One line for a terminal, with a button that copies it. */
export function CommandLine({ text, label }: { text: string; label: string }) {
  return (
    <div className="command">
      <code>{text}</code>
      <CopyButton value={text}>
        {({ copied, copy }) => (
          <Button variant="default" size="xs" onClick={copy} aria-label={`Copy ${label}`}>
            {copied ? 'Copied' : 'Copy'}
          </Button>
        )}
      </CopyButton>
    </div>
  );
}
