/**
 * Owns the fields of forms: a label above, the control, and one line below that says what is expected or what is wrong,
 * so that a problem moves nothing.
 */

import { Button } from '@mantine/core';
import { useEffect, useId, useRef, type ReactNode } from 'react';

import type { Submission } from '#web/form/submit-hook.ts';

export interface FormProps {
  readonly submission: Submission;
  readonly className?: string;
  readonly children: ReactNode;
}

/** A field that is wrong gets the focus: who cannot see it is told what to correct. */
export function Form({ submission, className, children }: FormProps) {
  const form = useRef<HTMLFormElement>(null);
  const { blamed, isBusy } = submission;
  useEffect(() => {
    if (blamed !== null && !isBusy)
      form.current?.querySelector<HTMLElement>('[aria-invalid="true"]')?.focus();
  }, [blamed, isBusy]);
  return (
    <form ref={form} className={className} onSubmit={submission.onSubmit} noValidate>
      {children}
    </form>
  );
}

interface FieldProps {
  readonly label: string;
  /** What belongs in it; gives way to what is wrong with it. */
  readonly hint?: string | undefined;
  readonly problem?: string | null;
  readonly isOptional?: boolean;
  readonly isDisabled?: boolean;
  readonly width?: 'short' | 'full';
}

interface ControlProps {
  readonly id: string;
  readonly 'aria-describedby': string;
  readonly 'aria-invalid': boolean;
  readonly disabled: boolean;
}

type FrameProps = FieldProps & { readonly children: (control: ControlProps) => ReactNode };

function FieldFrame({ label, hint, problem = null, isOptional, isDisabled, width, children }: FrameProps) {
  const id = useId();
  const noteId = `${id}note`;
  const control: ControlProps = {
    id,
    'aria-describedby': noteId,
    'aria-invalid': problem !== null,
    disabled: isDisabled === true,
  };
  return (
    <div className="field" data-width={width ?? 'full'}>
      <label htmlFor={id}>
        {label}
        {isOptional === true && <span className="muted small"> optional</span>}
      </label>
      {children(control)}
      <p
        id={noteId}
        className={problem === null ? 'field-note muted small' : 'field-note needs-action small'}
      >
        {problem ?? hint}
      </p>
    </div>
  );
}

export interface TextFieldProps extends FieldProps {
  readonly value: string;
  readonly onChange: (value: string) => void;
  readonly type?: 'text' | 'email' | 'password' | 'date' | 'datetime-local' | 'search' | 'url';
  readonly autoComplete?: string;
  readonly inputMode?: 'text' | 'numeric' | 'decimal';
  readonly placeholder?: string;
  readonly maxLength?: number;
  /** Where a person begins to type when the form appears. */
  readonly isFirst?: boolean;
}

export function TextField(props: TextFieldProps) {
  const { value, onChange, type = 'text', autoComplete = 'off', inputMode, placeholder, maxLength } = props;
  return (
    <FieldFrame {...props}>
      {(control) => (
        <input
          {...control}
          className="input"
          type={type}
          autoComplete={autoComplete}
          inputMode={inputMode}
          placeholder={placeholder}
          maxLength={maxLength}
          // oxlint-disable-next-line jsx-a11y/no-autofocus -- only in a form that somebody has just asked for
          autoFocus={props.isFirst === true}
          spellCheck={false}
          value={value}
          onChange={(event) => onChange(event.currentTarget.value)}
        />
      )}
    </FieldFrame>
  );
}

export interface AreaFieldProps extends FieldProps {
  readonly value: string;
  readonly onChange: (value: string) => void;
  readonly rows?: number;
  readonly maxLength?: number;
}

export function AreaField(props: AreaFieldProps) {
  const { value, onChange, rows = 3, maxLength } = props;
  return (
    <FieldFrame {...props}>
      {(control) => (
        <textarea
          {...control}
          className="input"
          rows={rows}
          maxLength={maxLength}
          value={value}
          onChange={(event) => onChange(event.currentTarget.value)}
        />
      )}
    </FieldFrame>
  );
}

export interface Choice {
  readonly value: string;
  readonly label: string;
}

export interface ChoiceFieldProps extends FieldProps {
  readonly value: string;
  readonly onChange: (value: string) => void;
  readonly choices: readonly Choice[];
}

export function ChoiceField(props: ChoiceFieldProps) {
  const { value, onChange, choices } = props;
  return (
    <FieldFrame {...props}>
      {(control) => (
        <select
          {...control}
          className="input"
          value={value}
          onChange={(event) => onChange(event.currentTarget.value)}
        >
          {choices.map((choice) => (
            <option key={choice.value} value={choice.value}>
              {choice.label}
            </option>
          ))}
        </select>
      )}
    </FieldFrame>
  );
}

export interface CheckFieldProps {
  readonly label: ReactNode;
  readonly isChecked: boolean;
  readonly onChange: (isChecked: boolean) => void;
  readonly isDisabled?: boolean;
}

export function CheckField({ label, isChecked, onChange, isDisabled = false }: CheckFieldProps) {
  return (
    <label className="check">
      <input
        type="checkbox"
        checked={isChecked}
        disabled={isDisabled}
        onChange={(event) => onChange(event.currentTarget.checked)}
      />
      <span>{label}</span>
    </label>
  );
}

export interface FormFootProps {
  readonly submission: Submission;
  readonly label: string;
  readonly cancel?: () => void;
  readonly isDisabled?: boolean;
  readonly children?: ReactNode;
}

/** What is wrong with the whole, then what can be done. */
export function FormFoot({ submission, label, cancel, isDisabled = false, children }: FormFootProps) {
  return (
    <div className="form-foot">
      <Button type="submit" className="primary" variant="default" disabled={submission.isBusy || isDisabled}>
        {label}
      </Button>
      {cancel !== undefined && (
        <Button variant="default" onClick={cancel}>
          Cancel
        </Button>
      )}
      {children}
      <p className="form-said needs-action small" role="alert">
        {submission.general}
      </p>
    </div>
  );
}
