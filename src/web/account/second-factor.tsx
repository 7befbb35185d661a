/** Owns the second step of a sign-in as a person turns it on and off: a QR code, a first right code, back-up codes. */

import { useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';

import type { BackupCodes, TotpEnrolment } from '#contract/account.ts';
import type { Person } from '#web/account/account-page.tsx';
import { Form, FormFoot, TextField } from '#web/form/fields.tsx';
import { useSubmit } from '#web/form/submit-hook.ts';
import { CommandLine } from '#web/page-states.tsx';
import { QrCode } from '#web/qr-code.tsx';
import { server } from '#web/server.ts';

export function SecondFactor({ person }: { person: Person }) {
  const [codes, setCodes] = useState<readonly string[] | null>(null);
  return (
    <section className="card" aria-labelledby="second-title">
      <h2 id="second-title">Second step</h2>
      {codes !== null && <Codes codes={codes} />}
      {!person.hasPassword && <p className="muted">Set a password first: the second step comes after it.</p>}
      {person.hasPassword && !person.hasTotp && <TurnOn setCodes={setCodes} />}
      {person.hasTotp && <TurnOff person={person} setCodes={setCodes} />}
    </section>
  );
}

function Codes({ codes }: { codes: readonly string[] }) {
  return (
    <div role="status">
      <p>
        Keep these back-up codes. Each signs you in once without the authenticator; they are shown this once.
      </p>
      <CommandLine text={codes.join(' ')} label="the back-up codes" />
    </div>
  );
}

interface CodesProps {
  readonly setCodes: (codes: readonly string[]) => void;
}

function TurnOn({ setCodes }: CodesProps) {
  const [password, setPassword] = useState('');
  const [enrolment, setEnrolment] = useState<TotpEnrolment | null>(null);
  const submission = useSubmit(
    async () => setEnrolment(await server.call('POST', '/v1/account/totp', { body: { password } })),
    ['/password'],
  );
  if (enrolment !== null) return <Confirm enrolment={enrolment} setCodes={setCodes} />;
  return (
    <Form submission={submission}>
      <p className="muted">
        A code of an authenticator after the password: whoever learns the password alone does not get in.
      </p>
      <TextField
        label="Password, to turn it on"
        type="password"
        autoComplete="current-password"
        value={password}
        onChange={setPassword}
        problem={submission.problemOf('/password')}
      />
      <FormFoot submission={submission} label="Turn it on" isDisabled={password === ''} />
    </Form>
  );
}

function Confirm({ enrolment, setCodes }: CodesProps & { enrolment: TotpEnrolment }) {
  const client = useQueryClient();
  const [code, setCode] = useState('');
  const submission = useSubmit(async () => {
    const body = { code: code.replaceAll(/\s/g, '') };
    const { codes } = await server.call<BackupCodes>('POST', '/v1/account/totp/confirm', { body });
    setCodes(codes);
    await client.invalidateQueries({ queryKey: ['account'] });
  }, ['/code']);
  return (
    <Form submission={submission}>
      <p>Scan this with your authenticator, or type the secret into it. Then type the code that it shows.</p>
      <QrCode text={enrolment.uri} label="QR code of the secret for an authenticator" />
      <CommandLine text={enrolment.secret} label="the secret" />
      <TextField
        label="Code"
        autoComplete="one-time-code"
        inputMode="numeric"
        isFirst
        maxLength={8}
        value={code}
        onChange={setCode}
        problem={submission.problemOf('/code')}
      />
      <FormFoot submission={submission} label="Confirm" isDisabled={code.trim() === ''} />
    </Form>
  );
}

function TurnOff({ person, setCodes }: CodesProps & { person: Person }) {
  const client = useQueryClient();
  const [password, setPassword] = useState('');
  const read = (): Promise<void> => client.invalidateQueries({ queryKey: ['account'] });
  const body = { password };
  const off = useSubmit(async () => {
    await server.call('POST', '/v1/account/totp/disable', { body });
    await read();
  }, ['/password']);
  const renew = useSubmit(async () => {
    const { codes } = await server.call<BackupCodes>('POST', '/v1/account/totp/backup-codes', { body });
    setCodes(codes);
    setPassword('');
    await read();
  });
  return (
    <Form submission={off}>
      <p>
        On. <span className="muted">{person.backupCodesLeft} back-up codes are left.</span>
      </p>
      <TextField
        label="Password, to change it"
        type="password"
        autoComplete="current-password"
        value={password}
        onChange={setPassword}
        problem={off.problemOf('/password') ?? renew.general}
      />
      <FormFoot submission={off} label="Turn it off" isDisabled={password === ''}>
        <button type="button" className="text-button" disabled={password === ''} onClick={renew.run}>
          New back-up codes
        </button>
      </FormFoot>
    </Form>
  );
}
