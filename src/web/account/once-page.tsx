/**
 * Owns what follows an address that carries a secret for one use: a sign-in link signs in at once, a set-up link makes the
 * first account, an invitation is accepted, a password is set anew. The secret is gone from the page when it was used.
 */

import { Button } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { useEffect, useState } from 'react';

import type { InvitationView, SignInAnswer } from '#contract/account.ts';
import { forgetKey, setOnceSecret, type OnceSecret } from '#web/access-key.ts';
import { roleWords } from '#web/account/role-words.ts';
import { checkNewPassword, NewPasswordField } from '#web/account/new-password.tsx';
import { followAnswer, SecondStep, SignInFrame } from '#web/account/sign-in-page.tsx';
import { Form, FormFoot, TextField } from '#web/form/fields.tsx';
import { useSubmit } from '#web/form/submit-hook.ts';
import { problemSentence } from '#web/page-states.tsx';
import { accountChanged, server } from '#web/server.ts';

/** A link is asked for once, however often React mounts the page that follows it. */
let followed: { readonly token: string; readonly answer: Promise<SignInAnswer> } | null = null;

function followLink(token: string): Promise<SignInAnswer> {
  if (followed?.token !== token)
    followed = { token, answer: server.call('POST', '/v1/account/links', { body: { token } }) };
  return followed.answer;
}

function done(): void {
  setOnceSecret(null);
  void accountChanged();
}

export function OncePage({ once }: { once: OnceSecret }) {
  const [challenge, setChallenge] = useState<string | null>(null);
  if (challenge !== null)
    return <SecondStep challenge={challenge} goBack={done} done={() => setOnceSecret(null)} />;
  switch (once.kind) {
    case 'link':
      return <FollowLink token={once.secret} askCode={setChallenge} />;
    case 'setup':
      return <SetUp token={once.secret} />;
    case 'invitation':
      return <AcceptInvitation token={once.secret} askCode={setChallenge} />;
    case 'reset':
      return <ResetPassword token={once.secret} />;
  }
}

async function signedIn(answer: SignInAnswer, askCode: (challenge: string) => void): Promise<void> {
  // A key of this tab would go before the cookie.
  forgetKey();
  await followAnswer(answer, askCode);
  if (answer.state === 'signed-in') setOnceSecret(null);
}

interface TokenProps {
  readonly token: string;
}

type AskCode = (challenge: string) => void;

function FollowLink({ token, askCode }: TokenProps & { askCode: AskCode }) {
  const [error, setError] = useState<unknown>(null);
  useEffect(() => {
    followLink(token)
      .then((value) => signedIn(value, askCode))
      .catch((thrown: unknown) => setError(thrown));
  }, [token, askCode]);
  if (error === null) return <div className="page" aria-busy="true" />;
  return <DeadLink error={error} />;
}

function DeadLink({ error }: { error: unknown }) {
  return (
    <SignInFrame title="This link does not sign you in">
      <p role="alert">{problemSentence(error)}</p>
      <p className="muted">
        A link works once and for a short time. On the machine that runs Kymo,{' '}
        <code>npm run kymo -- link</code> prints another.
      </p>
      <Button variant="default" onClick={done}>
        Sign in with a password
      </Button>
    </SignInFrame>
  );
}

function SetUp({ token }: TokenProps) {
  const [email, setEmail] = useState('');
  const [name, setName] = useState('');
  const [password, setPassword] = useState('');
  const submission = useSubmit(async () => {
    checkNewPassword(password);
    const body = { token, email: email.trim(), name: name.trim(), password };
    await signedIn(await server.call<SignInAnswer>('POST', '/v1/account/set-up', { body }), () => {});
  }, ['/email', '/name', '/password']);
  return (
    <SignInFrame title="The first account">
      <p className="muted">It owns the organisation: it invites the others and says what they may do.</p>
      <Form submission={submission}>
        <TextField
          label="E-mail address"
          type="email"
          autoComplete="username"
          isFirst
          value={email}
          onChange={setEmail}
          problem={submission.problemOf('/email')}
        />
        <TextField
          label="Your name"
          autoComplete="name"
          value={name}
          onChange={setName}
          problem={submission.problemOf('/name')}
        />
        <NewPasswordField
          value={password}
          onChange={setPassword}
          problem={submission.problemOf('/password')}
        />
        <FormFoot
          submission={submission}
          label="Make the account"
          isDisabled={email.trim() === '' || name.trim() === '' || password === ''}
        />
      </Form>
    </SignInFrame>
  );
}

function AcceptInvitation({ token, askCode }: TokenProps & { askCode: AskCode }) {
  const invitation = useQuery({
    queryKey: ['account', 'invitation', token],
    queryFn: () => server.call<InvitationView>('POST', '/v1/account/invitations/look', { body: { token } }),
    retry: false,
  });
  if (invitation.isPending) return <div className="page" aria-busy="true" />;
  if (invitation.isError)
    return (
      <SignInFrame title="This invitation is not open">
        <p role="alert">{problemSentence(invitation.error)}</p>
        <p className="muted">Whoever invited you can send another.</p>
        <Button variant="default" onClick={done}>
          Go to the sign-in
        </Button>
      </SignInFrame>
    );
  return <InvitationForm token={token} invitation={invitation.data} askCode={askCode} />;
}

interface InvitationFormProps extends TokenProps {
  readonly invitation: InvitationView;
  readonly askCode: AskCode;
}

function InvitationForm({ token, invitation, askCode }: InvitationFormProps) {
  const { organisation, email, role, hasAccount } = invitation;
  const [name, setName] = useState('');
  const [password, setPassword] = useState('');
  const submission = useSubmit(async () => {
    if (!hasAccount) checkNewPassword(password);
    const body = { token, password, ...(hasAccount ? {} : { name: name.trim() }) };
    await signedIn(
      await server.call<SignInAnswer>('POST', '/v1/account/invitations/accept', { body }),
      askCode,
    );
  }, ['/name', '/password']);
  return (
    <SignInFrame title={`Join ${organisation}`}>
      <p>
        You are invited as {roleWords[role]}, with the address {email}.
      </p>
      <Form submission={submission}>
        {!hasAccount && (
          <TextField
            label="Your name"
            autoComplete="name"
            isFirst
            value={name}
            onChange={setName}
            problem={submission.problemOf('/name')}
          />
        )}
        {hasAccount ? (
          <TextField
            label="Password of your account"
            type="password"
            autoComplete="current-password"
            isFirst
            value={password}
            onChange={setPassword}
            problem={submission.problemOf('/password')}
          />
        ) : (
          <NewPasswordField
            label="Password"
            value={password}
            onChange={setPassword}
            problem={submission.problemOf('/password')}
          />
        )}
        <FormFoot
          submission={submission}
          label="Join"
          isDisabled={password === '' || (!hasAccount && name.trim() === '')}
        />
      </Form>
    </SignInFrame>
  );
}

function ResetPassword({ token }: TokenProps) {
  const [password, setPassword] = useState('');
  const [isDone, setIsDone] = useState(false);
  const submission = useSubmit(async () => {
    checkNewPassword(password);
    await server.call('POST', '/v1/account/password/reset', { body: { token, password } });
    setIsDone(true);
  }, ['/password']);
  return (
    <SignInFrame title="A new password">
      {isDone ? (
        <>
          <p role="status">The password is set, and every sign-in with the old one has ended.</p>
          <Button variant="default" className="primary" onClick={done}>
            Sign in
          </Button>
        </>
      ) : (
        <Form submission={submission}>
          <NewPasswordField
            value={password}
            onChange={setPassword}
            problem={submission.problemOf('/password')}
          />
          <FormFoot submission={submission} label="Set the password" isDisabled={password === ''} />
        </Form>
      )}
    </SignInFrame>
  );
}
