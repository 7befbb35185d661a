/** Owns the reading view of channels and messages: each channel with what it sends and takes, field by field. */

import { useState } from 'react';

import {
  fieldRows,
  type Message,
  type MessageChannel,
  type MessageDocument,
} from '#web/docs/message-document.ts';

export function MessageList({ document }: { document: MessageDocument }) {
  const [wanted, setWanted] = useState('');
  const text = wanted.trim().toLowerCase();
  const channels = Object.entries(document.channels).filter(
    ([, channel]) =>
      text === '' ||
      JSON.stringify([channel.address, channel.title, Object.keys(channel.messages)])
        .toLowerCase()
        .includes(text),
  );
  return (
    <>
      <label className="docs-search">
        <span className="small muted">Find a channel or message</span>
        <input type="search" value={wanted} onChange={(event) => setWanted(event.currentTarget.value)} />
      </label>
      {channels.length === 0 && <p className="muted">No channel or message has “{wanted}” in its name.</p>}
      {channels.map(([id, channel]) => (
        <Channel key={id} channel={channel} document={document} />
      ))}
    </>
  );
}

function Channel({ channel, document }: { channel: MessageChannel; document: MessageDocument }) {
  const messages = Object.entries(channel.messages);
  const groups = [
    { title: 'You send', own: messages.filter(([id]) => id.startsWith('to-')) },
    { title: 'You receive', own: messages.filter(([id]) => id.startsWith('from-')) },
  ].filter(({ own }) => own.length > 0);
  return (
    <section className="docs-channel" aria-label={channel.address}>
      <h2>
        <code>{channel.address}</code> <span className="muted">{channel.title}</span>
      </h2>
      <p>{channel.description.replaceAll('`', '')}</p>
      {Object.entries(channel.parameters ?? {}).map(([name, { description }]) => (
        <p key={name} className="small">
          <code>{`{${name}}`}</code> <span className="muted">{description}</span>
        </p>
      ))}
      {groups.map(({ title, own }) => (
        <div key={title}>
          <h3 className="small muted">{title}</h3>
          {own.map(([id, message]) => (
            <MessageEntry key={id} message={message} document={document} />
          ))}
        </div>
      ))}
    </section>
  );
}

function MessageEntry({ message, document }: { message: Message; document: MessageDocument }) {
  const rows = fieldRows(message.payload, document.components.schemas);
  return (
    <details className="docs-message">
      <summary>
        <code>{message.name}</code>
        {message.title !== message.name && <span className="muted"> {message.title}</span>}
      </summary>
      {message.description !== undefined && (
        <p className="small muted">{message.description.replaceAll('`', '')}</p>
      )}
      <table>
        <thead>
          <tr>
            <th scope="col">Field</th>
            <th scope="col">Type</th>
            <th scope="col">Meaning</th>
          </tr>
        </thead>
        <tbody>
          {rows.map(({ path, type, isRequired, text }) => (
            <tr key={path}>
              <td>
                <code>{path}</code>
                {!isRequired && <span className="muted small"> optional</span>}
              </td>
              <td>
                <code>{type}</code>
              </td>
              <td>{text}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </details>
  );
}
