-- Mail that waits to be sent. A row goes when the mail was taken, was refused for good, or is too late: it holds an address
-- and, of some kinds, a link that lets somebody in, so nothing of it is kept.

create table kymo.mail (
  id uuid primary key,
  -- Null: it is about an account, not about an organisation.
  org_id uuid references kymo.organisation,
  kind text not null check (kind in ('invitation', 'password-reset', 'job-done', 'digest')),
  recipient text not null check (length(recipient) between 3 and 254),
  -- What the template needs: links, counts and codes, no names and no health data.
  fields jsonb not null check (octet_length(fields::text) <= 4096),
  created_at timestamptz not null default now(),
  expires_at timestamptz not null,
  attempts smallint not null default 0,
  next_attempt_at timestamptz not null default now()
) with (fillfactor = 70);
create index mail_due on kymo.mail (next_attempt_at);
create index mail_by_expiry on kymo.mail (expires_at);

alter table kymo.mail enable row level security;
-- The sender knows no organisation: it works for all, under the role that knows addresses anyway.
create policy sender on kymo.mail to kymo_auth using (true);
grant select, insert, update, delete on kymo.mail to kymo_auth;
-- Whatever happens in an organisation may put a mail beside it, and see none.
create policy own_rows on kymo.mail for insert to kymo_app with check (org_id = kymo.current_org());
grant insert on kymo.mail to kymo_app;
