/**
 * Owns the API's documentation as a page: HTTP routes by Swagger UI from /openapi.json, messages and channels from
 * /asyncapi.json. Everything comes from this server, so it can be read with the network blocked; loaded only when opened.
 */

import { SegmentedControl } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { useEffect, useRef } from 'react';
import SwaggerUi from 'swagger-ui-dist/swagger-ui-es-bundle.js';
import 'swagger-ui-dist/swagger-ui.css';

import { accessKey } from '#web/access-key.ts';
import type { MessageDocument } from '#web/docs/message-document.ts';
import { MessageList } from '#web/docs/message-list.tsx';
import { ProblemState } from '#web/page-states.tsx';
import { usePageTitle } from '#web/page-title.ts';
import { readDocument } from '#web/server.ts';
import '#web/docs/docs.css';

export type DocsPart = 'http' | 'messages';

export function DocsPage({ part, setPart }: { part: DocsPart; setPart: (part: DocsPart) => void }) {
  usePageTitle('API');
  return (
    <div className="page docs">
      <div className="page-head">
        <h1>API</h1>
        <SegmentedControl
          aria-label="Part of the API"
          value={part}
          onChange={(value) => setPart(value === 'messages' ? 'messages' : 'http')}
          data={[
            { value: 'http', label: 'HTTP' },
            { value: 'messages', label: 'Channels and messages' },
          ]}
        />
        <p className="muted small">
          The documents themselves: <a href="/openapi.json">OpenAPI 3.1</a> ·{' '}
          <a href="/asyncapi.json">AsyncAPI 3.0</a>
        </p>
      </div>
      {part === 'http' ? <HttpRoutes /> : <Messages />}
    </div>
  );
}

function HttpRoutes() {
  const place = useRef<HTMLDivElement>(null);
  useEffect(() => {
    const node = place.current;
    if (node === null) return undefined;
    const key = accessKey();
    const ui = SwaggerUi({
      domNode: node,
      url: '/openapi.json',
      deepLinking: true,
      // Its badge would ask a server outside.
      validatorUrl: null,
      docExpansion: 'list',
      defaultModelsExpandDepth: 0,
      onComplete: () => {
        if (key !== null) ui.preauthorizeApiKey('accessKey', key);
      },
    });
    return () => node.replaceChildren();
  }, []);
  return <div ref={place} className="docs-http" />;
}

function Messages() {
  const document = useQuery({
    queryKey: ['asyncapi'],
    queryFn: () => readDocument<MessageDocument>('/asyncapi.json'),
    staleTime: Number.POSITIVE_INFINITY,
  });
  if (document.isPending)
    return (
      <p className="muted" aria-busy="true">
        Reading the messages …
      </p>
    );
  if (document.isError) return <ProblemState error={document.error} retry={() => void document.refetch()} />;
  return <MessageList document={document.data} />;
}
