/** Owns the page of a person's own account: name, password, second step, where it is signed in, which organisation. */

import { Button } from '@mantine/core';
import { useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';

import type { Account } from '#contract/account.ts';
import { forgetKey } from '#web/access-key.ts';
import { useAccount } from '#web/account/account-context.ts';
import { checkNewPassword, NewPasswordField } from '#web/account/new-password.tsx';
import { SecondFactor } from '#web/account/second-factor.tsx';
import { SignIns } from '#web/account/sign-ins.tsx';
import { ChoiceField, Form, FormFoot, TextField } from '#web/form/fields.tsx';
import { useSubmit } from '#web/form/submit-hook.ts';
import { usePageTitle } from '#web/page-title.ts';
import { accountChanged, server } from '#web/server.ts';

export type Person = NonNullable<Account['person']>;

export function AccountPage() {
  usePageTitle('Account');
  const account = useAccount();
  const { person, organisation, role } = account;
  return (
    <div className="page account">
      <div className="page-head">
        <h1>Account</h1>
        <p className="muted">
          {person === null ? 'A key' : person.email}, {role} of {organisation.name}
        </p>
        <span className="shell-space" />
        <SignOut isKey={person === null} />
      </div>
      {person === null ? (
        <p>
          This page was opened with a key, not by a person. Sign out to sign in with an address and a
          password.
        </p>
      ) : (
        <div className="cards">
          <Profile person={person} />
          {account.organisations.length > 1 && <Organisations account={account} />}
          <Password person={person} />
          <SecondFactor person={person} />
          <SignIns />
        </div>
      )}
    </div>
  );
}

function SignOut({ isKey }: { isKey: boolean }) {
  const submission = useSubmit(async () => {
    if (isKey) forgetKey();
    else await server.call('POST', '/v1/account/sign-out', { body: {} });
    await accountChanged();
  });
  return (
    <>
      <span className="needs-action small" role="status">
        {submission.general}
      </span>
      <Button variant="default" disabled={submission.isBusy} onClick={submission.run}>
        Sign out
      </Button>
    </>
  );
}

function Profile({ person }: { person: Person }) {
  const client = useQueryClient();
  const { role } = useAccount();
  const [name, setName] = useState(person.name);
  const submission = useSubmit(async () => {
    await server.call('PUT', '/v1/account', { body: { name: name.trim() } });
    await client.invalidateQueries({ queryKey: ['account'] });
  }, ['/name']);
  return (
    <section className="card" aria-labelledby="profile-title">
      <h2 id="profile-title">You</h2>
      <Form submission={submission}>
        <TextField
          label="Name"
          hint={
            role === 'patient'
              ? 'Shown to whoever manages accounts at your clinic, and to nobody else'
              : 'Shown to the people of your organisation'
          }
          autoComplete="name"
          value={name}
          onChange={setName}
          problem={submission.problemOf('/name')}
        />
        <FormFoot
          submission={submission}
          label="Save"
          isDisabled={name.trim() === '' || name.trim() === person.name}
        />
      </Form>
    </section>
  );
}

function Organisations({ account }: { account: Account }) {
  const [chosen, setChosen] = useState(account.organisation.id);
  const submission = useSubmit(async () => {
    await server.call('PUT', '/v1/account/organisation', { body: { organisationId: chosen } });
    await accountChanged();
  });
  return (
    <section className="card" aria-labelledby="organisation-title">
      <h2 id="organisation-title">Organisation</h2>
      <Form submission={submission}>
        <ChoiceField
          label="Where you work now"
          value={chosen}
          onChange={setChosen}
          choices={account.organisations.map(({ id, name, role }) => ({
            value: id,
            label: `${name} (${role})`,
          }))}
        />
        <FormFoot submission={submission} label="Switch" isDisabled={chosen === account.organisation.id} />
      </Form>
    </section>
  );
}

function Password({ person }: { person: Person }) {
  const client = useQueryClient();
  const [current, setCurrent] = useState('');
  const [password, setPassword] = useState('');
  const [isDone, setIsDone] = useState(false);
  const submission = useSubmit(async () => {
    checkNewPassword(password);
    const body = { password, ...(person.hasPassword ? { current } : {}) };
    await server.call('PUT', '/v1/account/password', { body });
    setCurrent('');
    setPassword('');
    setIsDone(true);
    await client.invalidateQueries({ queryKey: ['account'] });
  }, ['/current', '/password']);
  return (
    <section className="card" aria-labelledby="password-title">
      <h2 id="password-title">Password</h2>
      <Form submission={submission}>
        {person.hasPassword && (
          <TextField
            label="Password now"
            type="password"
            autoComplete="current-password"
            value={current}
            onChange={setCurrent}
            problem={submission.problemOf('/current')}
          />
        )}
        <NewPasswordField
          value={password}
          onChange={(text) => {
            setIsDone(false);
            setPassword(text);
          }}
          problem={submission.problemOf('/password')}
        />
        <FormFoot
          submission={submission}
          label="Set the password"
          isDisabled={password === '' || (person.hasPassword && current === '')}
        >
          <span className="muted small" role="status">
            {isDone && 'It is set. Every other sign-in of yours has ended.'}
          </span>
        </FormFoot>
      </Form>
    </section>
  );
}
