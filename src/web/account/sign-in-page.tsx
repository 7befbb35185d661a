/** Owns the way in: e-mail address and password, the code of the second step, and what to do without a password. */

import { useQuery } from '@tanstack/react-query';
import { useState, type ReactNode } from 'react';

import type { SignInAnswer, SignInOptions } from '#contract/account.ts';
import { Form, FormFoot, TextField } from '#web/form/fields.tsx';
import { useSubmit } from '#web/form/submit-hook.ts';
import { usePageTitle } from '#web/page-title.ts';
import { accountChanged, server } from '#web/server.ts';

/** What is asked for at the moment. */
type Step =
  | { readonly name: 'password' }
  | { readonly name: 'code'; readonly challenge: string }
  | { readonly name: 'forgotten' };

export function SignInPage() {
  const [step, setStep] = useState<Step>({ name: 'password' });
  const goBack = (): void => setStep({ name: 'password' });
  if (step.name === 'code') return <SecondStep challenge={step.challenge} goBack={goBack} />;
  if (step.name === 'forgotten') return <ForgottenPassword goBack={goBack} />;
  return <PasswordStep setStep={setStep} />;
}

/** One column in the middle of an otherwise empty page. */
export function SignInFrame({ title, children }: { title: string; children: ReactNode }) {
  usePageTitle(title);
  return (
    <div className="page">
      <div className="sign-in">
        <h1>{title}</h1>
        {children}
      </div>
    </div>
  );
}

/** Goes on with what a sign-in was answered: in, or to the second step. */
export async function followAnswer(
  answer: SignInAnswer,
  askCode: (challenge: string) => void,
): Promise<void> {
  if (answer.state === 'second-factor') askCode(answer.challenge);
  else await accountChanged();
}

function PasswordStep({ setStep }: { setStep: (step: Step) => void }) {
  const [email, setEmail] = useState('');
  const [password, setPassword] = useState('');
  const options = useQuery({
    queryKey: ['account', 'options'],
    queryFn: ({ signal }) => server.call<SignInOptions>('GET', '/v1/account/options', { signal }),
    staleTime: 60_000,
  });
  const submission = useSubmit(async () => {
    const body = { email: email.trim(), password };
    const answer = await server.call<SignInAnswer>('POST', '/v1/account/sign-in', { body });
    await followAnswer(answer, (challenge) => setStep({ name: 'code', challenge }));
  }, ['/email', '/password']);
  const [hasPassword, setHasPassword] = useState(false);
  if (options.data?.needsSetUp === true && !hasPassword)
    return <NotSetUp signIn={() => setHasPassword(true)} />;
  return (
    <SignInFrame title="Sign in">
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
          label="Password"
          type="password"
          autoComplete="current-password"
          value={password}
          onChange={setPassword}
          problem={submission.problemOf('/password')}
        />
        <FormFoot submission={submission} label="Sign in" isDisabled={email === '' || password === ''}>
          {options.data?.hasMail === true && (
            <button type="button" className="text-button" onClick={() => setStep({ name: 'forgotten' })}>
              Forgotten password
            </button>
          )}
        </FormFoot>
      </Form>
      <p className="muted small sign-in-note">
        On the machine that runs Kymo, <code>npm run kymo -- link</code> prints a link that signs you in once.
        Recording goes on without this page.
      </p>
    </SignInFrame>
  );
}

/** `signIn`: for whoever was invited before an owner has a password, as in a demo. */
function NotSetUp({ signIn }: { signIn: () => void }) {
  return (
    <SignInFrame title="No owner has a password here yet">
      <p>
        Kymo printed a link when it started. Open it in this browser: it makes the first account, or signs you
        in to the demo. It works once.
      </p>
      <p className="muted">
        On the machine that runs Kymo, <code>npm run kymo -- link</code> prints another.
      </p>
      <button type="button" className="text-button" onClick={signIn}>
        I was invited and have a password
      </button>
    </SignInFrame>
  );
}

export interface SecondStepProps {
  readonly challenge: string;
  readonly goBack: () => void;
  /** Signed in. */
  readonly done?: () => void;
}

export function SecondStep({ challenge, goBack, done }: SecondStepProps) {
  const [code, setCode] = useState('');
  const submission = useSubmit(async () => {
    const body = { challenge, code: code.replaceAll(/\s/g, '') };
    await server.call('POST', '/v1/account/second-factor', { body });
    done?.();
    await accountChanged();
  }, ['/code']);
  return (
    <SignInFrame title="Your code">
      <Form submission={submission}>
        <TextField
          label="Code"
          hint="Six digits of your authenticator, or a back-up code"
          autoComplete="one-time-code"
          isFirst
          maxLength={20}
          value={code}
          onChange={setCode}
          problem={submission.problemOf('/code')}
        />
        <FormFoot submission={submission} label="Go on" cancel={goBack} isDisabled={code.trim() === ''} />
      </Form>
    </SignInFrame>
  );
}

function ForgottenPassword({ goBack }: { goBack: () => void }) {
  const [email, setEmail] = useState('');
  const [isSent, setIsSent] = useState(false);
  const submission = useSubmit(async () => {
    await server.call('POST', '/v1/account/password/forgot', { body: { email: email.trim() } });
    setIsSent(true);
  }, ['/email']);
  return (
    <SignInFrame title="Forgotten password">
      {isSent ? (
        <>
          <p role="status">
            If there is an account with this address, a mail with a link is on its way to it. The link works
            once, for half an hour.
          </p>
          <button type="button" className="text-button" onClick={goBack}>
            Back to the sign-in
          </button>
        </>
      ) : (
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
          <FormFoot
            submission={submission}
            label="Send me a link"
            cancel={goBack}
            isDisabled={email.trim() === ''}
          />
        </Form>
      )}
    </SignInFrame>
  );
}
