/** Owns the addresses of the pages. An address restores its page: what a person chose is in its search part. */

import { createRootRoute, createRoute, createRouter, Navigate } from '@tanstack/react-router';
import { lazy, Suspense, type ComponentType, type FunctionComponent } from 'react';

import type { JobState } from '#contract/jobs.ts';
import type { Action } from '#contract/permissions.ts';
import { useAccount } from '#web/account/account-context.ts';
import { Needs } from '#web/account/needs.tsx';
import type { PatientListState } from '#web/clinic/patient-list.tsx';
import { parsePatientSearch } from '#web/clinic/patient-parts.ts';
import { jobStates } from '#web/jobs/job-words.ts';
import { NotFound } from '#web/page-states.tsx';
import { PageShell } from '#web/page-shell.tsx';
import { SessionList } from '#web/session-list.tsx';
import { SessionPage } from '#web/session/session-page.tsx';
import type { DeliveryState } from '#web/webhooks/delivery-table.tsx';
import { deliveryStates } from '#web/webhooks/webhook-words.ts';
import { DEFAULT_WINDOW, parseViewSearch, type ViewSearch } from '#web/session/view-search.ts';

const rootRoute = createRootRoute({ component: PageShell, notFoundComponent: NotFound });

const listRoute = createRoute({ getParentRoute: () => rootRoute, path: '/', component: SessionList });

const sessionRoute = createRoute({
  getParentRoute: () => rootRoute,
  path: '/sessions/$id',
  validateSearch: parseViewSearch,
  component: SessionRoute,
});

function SessionRoute() {
  const { id } = sessionRoute.useParams();
  const search = sessionRoute.useSearch();
  const navigate = sessionRoute.useNavigate();
  const setSearch = (change: Partial<ViewSearch>): void => {
    const { window = DEFAULT_WINDOW, ...rest } = { ...search, ...change };
    // Choices of a view are no steps that the back button should undo one by one.
    void navigate({
      search: window === DEFAULT_WINDOW ? rest : { ...rest, window },
      replace: true,
      resetScroll: false,
    });
  };
  return <SessionPage id={id} search={search} setSearch={setSearch} />;
}
/** A page that is loaded when somebody goes there first: the way to the live signals stays short. */
function lazyPage<Props extends object>(load: () => Promise<ComponentType<Props>>): FunctionComponent<Props> {
  const Page = lazy(async () => ({ default: await load() })) as unknown as FunctionComponent<Props>;
  return (props) => (
    <Suspense fallback={<div className="page" aria-busy="true" />}>
      <Page {...props} />
    </Suspense>
  );
}

/** The same, for those alone who may do `action`. */
function pageFor(action: Action, load: () => Promise<ComponentType>): FunctionComponent {
  const Page = lazyPage(load);
  return () => (
    <Needs action={action}>
      <Page />
    </Needs>
  );
}

const PatientList = lazyPage(async () => (await import('#web/clinic/patient-list.tsx')).PatientList);

const patientsRoute = createRoute({
  getParentRoute: () => rootRoute,
  path: '/patients',
  validateSearch: (search): { state?: PatientListState } =>
    search['state'] === 'archived' ? { state: 'archived' } : {},
  component: PatientsRoute,
});

function PatientsRoute() {
  const { state = 'active' } = patientsRoute.useSearch();
  const navigate = patientsRoute.useNavigate();
  const { role, patientId } = useAccount();
  // An account of a patient has one record, and no list.
  if (role === 'patient' && patientId !== null)
    return <Navigate to="/patients/$id" params={{ id: patientId }} replace />;
  return (
    <PatientList
      state={state}
      setState={(next) => void navigate({ search: next === 'active' ? {} : { state: next }, replace: true })}
    />
  );
}

const PatientPage = lazyPage(async () => (await import('#web/clinic/patient-page.tsx')).PatientPage);

const patientRoute = createRoute({
  getParentRoute: () => rootRoute,
  path: '/patients/$id',
  validateSearch: parsePatientSearch,
  component: PatientRoute,
});

function PatientRoute() {
  const { id } = patientRoute.useParams();
  const search = patientRoute.useSearch();
  const navigate = patientRoute.useNavigate();
  return (
    <PatientPage
      key={id}
      id={id}
      search={search}
      setSearch={(next) => void navigate({ search: next, replace: true, resetScroll: false })}
    />
  );
}

const protocolsRoute = createRoute({
  getParentRoute: () => rootRoute,
  path: '/protocols',
  component: pageFor(
    'session.write',
    async () => (await import('#web/protocols/protocol-page.tsx')).ProtocolPage,
  ),
});

const JobsPage = lazyPage(async () => (await import('#web/jobs/job-page.tsx')).JobsPage);

const jobsRoute = createRoute({
  getParentRoute: () => rootRoute,
  path: '/jobs',
  validateSearch: (search): { state?: JobState } => {
    const state = jobStates.find((name) => name === search['state']);
    return state === undefined ? {} : { state };
  },
  component: JobsRoute,
});

function JobsRoute() {
  const { state } = jobsRoute.useSearch();
  const navigate = jobsRoute.useNavigate();
  return (
    <Needs action="job.read">
      <JobsPage
        state={state}
        setState={(next) =>
          void navigate({ search: next === undefined ? {} : { state: next }, replace: true })
        }
      />
    </Needs>
  );
}

const devicesRoute = createRoute({
  getParentRoute: () => rootRoute,
  path: '/devices',
  component: pageFor('device.read', async () => (await import('#web/devices/device-page.tsx')).DevicePage),
});

const peopleRoute = createRoute({
  getParentRoute: () => rootRoute,
  path: '/people',
  component: pageFor(
    'organisation.manage',
    async () => (await import('#web/account/people-page.tsx')).PeoplePage,
  ),
});

const webhooksRoute = createRoute({
  getParentRoute: () => rootRoute,
  path: '/webhooks',
  component: pageFor(
    'organisation.manage',
    async () => (await import('#web/webhooks/webhook-list.tsx')).WebhookList,
  ),
});

const WebhookPage = lazyPage(async () => (await import('#web/webhooks/webhook-page.tsx')).WebhookPage);

const webhookRoute = createRoute({
  getParentRoute: () => rootRoute,
  path: '/webhooks/$id',
  validateSearch: (search): { state?: DeliveryState } => {
    const state = deliveryStates.find((name) => name === search['state']);
    return state === undefined ? {} : { state };
  },
  component: WebhookRoute,
});

function WebhookRoute() {
  const { id } = webhookRoute.useParams();
  const { state } = webhookRoute.useSearch();
  const navigate = webhookRoute.useNavigate();
  return (
    <Needs action="organisation.manage">
      <WebhookPage
        key={id}
        id={id}
        state={state}
        setState={(next) =>
          void navigate({ search: next === undefined ? {} : { state: next }, replace: true })
        }
      />
    </Needs>
  );
}

const auditRoute = createRoute({
  getParentRoute: () => rootRoute,
  path: '/audit',
  component: pageFor('audit.read', async () => (await import('#web/audit/audit-page.tsx')).AuditPage),
});

const accountRoute = createRoute({
  getParentRoute: () => rootRoute,
  path: '/account',
  component: lazyPage(async () => (await import('#web/account/account-page.tsx')).AccountPage),
});

const docsRoute = createRoute({
  getParentRoute: () => rootRoute,
  path: '/docs',
  validateSearch: (search): { part?: 'messages' } =>
    search['part'] === 'messages' ? { part: 'messages' } : {},
  component: DocsRoute,
});

// As large as all other pages together, and few people open it.
const DocsPage = lazyPage(async () => (await import('#web/docs/docs-page.tsx')).DocsPage);

function DocsRoute() {
  const { part = 'http' } = docsRoute.useSearch();
  const navigate = docsRoute.useNavigate();
  return (
    <DocsPage
      part={part}
      setPart={(chosen) => void navigate({ search: chosen === 'messages' ? { part: chosen } : {} })}
    />
  );
}

export function createPageRouter() {
  return createRouter({
    routeTree: rootRoute.addChildren([
      listRoute,
      sessionRoute,
      patientsRoute,
      patientRoute,
      protocolsRoute,
      jobsRoute,
      devicesRoute,
      peopleRoute,
      webhooksRoute,
      webhookRoute,
      auditRoute,
      accountRoute,
      docsRoute,
    ]),
    defaultPreload: false,
  });
}

declare module '@tanstack/react-router' {
  interface Register {
    router: ReturnType<typeof createPageRouter>;
  }
}
