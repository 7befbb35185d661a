/** Owns what a page says when it has nothing to show: what happened, what is safe, and what to do next. */

import { Button, CopyButton } from '@mantine/core';
import { Link } from '@tanstack/react-router';

import { AppError, messageOf } from '#base/errors.ts';
import { usePageTitle } from '#web/page-title.ts';

export function SignInState() {
  usePageTitle('Sign in');
  return (
    <div className="page">
      <div className="statement">
        <h1>This page needs its key</h1>
        <p>
          When Kymo starts, it prints an address that carries a key. Open that address in this browser; the
          key then stays in this tab only.
        </p>
        <p className="muted">
          On the machine that runs Kymo, look at the terminal of <code>kymo start</code>. Recording goes on
          without this page.
        </p>
      </div>
    </div>
  );
}

export function NotFound() {
  usePageTitle('No such page');
  return (
    <div className="page">
      <div className="statement">
        <h1>There is nothing at this address</h1>
        <p>The link may be incomplete, or the session was removed.</p>
        <p>
          <Link to="/">All sessions</Link>
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
        title: 'The server does not accept this key',
        safe: 'Nothing was changed.',
        next: 'Open the address that kymo start prints; it carries a key.',
        code,
      };
    case 'forbidden':
      return {
        title: 'This key may not see that',
        safe: 'Nothing was changed.',
        next: 'Open the page with a key of the organisation that owns the data.',
        code,
      };
    default:
      return { title: 'The server could not answer', safe, next: `It said: ${messageOf(error)}`, code };
  }
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
