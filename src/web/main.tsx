/** Owns the start of the page: keys and links leave the address first, then the router reads it. */

import '@mantine/core/styles/baseline.css';
import '@mantine/core/styles/default-css-variables.css';
import '@mantine/core/styles/global.css';
import '@mantine/core/styles/UnstyledButton.css';
import '@mantine/core/styles/Button.css';
import '@mantine/core/styles/ActionIcon.css';
import '@mantine/core/styles/Loader.css';
import '@mantine/core/styles/Skeleton.css';
import '@mantine/core/styles/FloatingIndicator.css';
import '@mantine/core/styles/SegmentedControl.css';
import '#web/look.css';

import { localStorageColorSchemeManager, MantineProvider } from '@mantine/core';
import { QueryClientProvider } from '@tanstack/react-query';
import { RouterProvider } from '@tanstack/react-router';
import { StrictMode } from 'react';
import { createRoot } from 'react-dom/client';

import { assert } from '#base/assert.ts';
import { takeSecretsFromAddress } from '#web/access-key.ts';
import { installInspection } from '#web/inspection.ts';
import { createPageRouter } from '#web/routes.tsx';
import { queryClient } from '#web/server.ts';

takeSecretsFromAddress();
// An address that differs only behind the # does not load the page anew.
window.addEventListener('hashchange', () => {
  if (takeSecretsFromAddress()) void queryClient.resetQueries();
});
installInspection();
const root = document.getElementById('root');
assert(root !== null, 'index.html has an element with the id root');
const colorScheme = localStorageColorSchemeManager({ key: 'kymo-colour-scheme' });

// No style elements are written at run time (their content is in look.css), so that the content security policy
// needs no exception for styles.
createRoot(root).render(
  <StrictMode>
    <MantineProvider
      defaultColorScheme="dark"
      colorSchemeManager={colorScheme}
      withCssVariables={false}
      withGlobalClasses={false}
    >
      <QueryClientProvider client={queryClient}>
        <RouterProvider router={createPageRouter()} />
      </QueryClientProvider>
    </MantineProvider>
  </StrictMode>,
);
