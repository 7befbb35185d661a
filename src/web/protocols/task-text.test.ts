import { expect, test } from 'vitest';

import { tasksOf, tasksText } from '#web/protocols/task-text.ts';

test('a line is a task, and a number behind the last comma its seconds', () => {
  expect(tasksOf('Stand still, 5\n\n Walk 10 metres, there and back \n', [])).toEqual([
    { code: 'stand-still', name: 'Stand still', instruction: '', durationS: 5 },
    {
      code: 'walk-10-metres-there-and-back',
      name: 'Walk 10 metres, there and back',
      instruction: '',
      durationS: null,
    },
  ]);
});

test('a task that stays keeps its code and instruction, and no two have the same', () => {
  const known = [{ code: 'turn-1', name: 'Turn', instruction: 'Slowly', durationS: null }];
  expect(tasksOf('Turn\nTurn', known).map(({ code, instruction }) => [code, instruction])).toEqual([
    ['turn-1', 'Slowly'],
    ['turn-1-2', 'Slowly'],
  ]);
});

test('what is shown is read back as it was', () => {
  const tasks = tasksOf('Stand, 5\nWalk', []);
  expect(tasksOf(tasksText(tasks), tasks)).toEqual(tasks);
});
