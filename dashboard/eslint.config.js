// Finds mistakes, never style: layout is prettier's, and a rule that only asks for other words is off, with its reason.
import { defineConfig } from 'eslint/config'
import prettier from 'eslint-config-prettier'
import vue from 'eslint-plugin-vue'
import globals from 'globals'
import ts from 'typescript-eslint'

export default defineConfig(
  { ignores: ['dist/', '**/generated/', 'src/**/*.d.ts'] },
  { linterOptions: { reportUnusedDisableDirectives: 'error' } },
  {
    files: ['**/*.ts', '**/*.vue'],
    extends: [ts.configs.strictTypeChecked, vue.configs['flat/recommended']],
    languageOptions: {
      globals: globals.browser,
      parserOptions: {
        parser: ts.parser,
        project: ['./tsconfig.json', './client/tsconfig.json', './client/tests/tsconfig.json'],
        tsconfigRootDir: import.meta.dirname,
        extraFileExtensions: ['.vue'],
      },
    },
    rules: {
      '@typescript-eslint/restrict-template-expressions': ['error', { allowNumber: true, allowBoolean: true }],
      '@typescript-eslint/restrict-plus-operands': ['error', { allowNumberAndString: true }],
      '@typescript-eslint/no-unused-vars': [
        'error',
        { argsIgnorePattern: '^_', ignoreRestSiblings: true, destructuredArrayIgnorePattern: '^_' },
      ],
      // Libraries declare plain functions as methods; own functions that need their object are kept with it.
      '@typescript-eslint/unbound-method': 'off',
      // Types say that an index always hits, so it would call a needed `?.` unneeded.
      '@typescript-eslint/no-unnecessary-condition': 'off',
      // A `!` follows a check that types cannot see.
      '@typescript-eslint/no-non-null-assertion': 'off',
      // Levels are ordered and compared as numbers.
      '@typescript-eslint/no-unsafe-enum-comparison': 'off',
      '@typescript-eslint/no-unsafe-enum-assignment': 'off',
      // These only ask for other words.
      '@typescript-eslint/no-confusing-void-expression': 'off',
      '@typescript-eslint/no-meaningless-void-operator': 'off',
      '@typescript-eslint/no-unnecessary-boolean-literal-compare': 'off',
      'vue/multi-word-component-names': 'off',
    },
  },
  {
    // Here the types of other components are not known; vue-tsc knows them and `npm run check` holds them.
    files: ['**/*.vue', 'src/main.ts'],
    rules: {
      '@typescript-eslint/no-unsafe-argument': 'off',
      '@typescript-eslint/no-unsafe-assignment': 'off',
      '@typescript-eslint/no-unsafe-call': 'off',
      '@typescript-eslint/no-unsafe-member-access': 'off',
      '@typescript-eslint/no-unsafe-return': 'off',
      '@typescript-eslint/no-redundant-type-constituents': 'off',
      '@typescript-eslint/no-unnecessary-type-conversion': 'off',
    },
  },
  {
    // Run by vitest and node, and in no project: rules that need no types.
    files: ['tests/**/*.ts', 'dev/**', '*.ts', '*.js', 'client/*.ts', 'public/*.js'],
    extends: [ts.configs.recommended, ts.configs.disableTypeChecked],
    languageOptions: {
      globals: { ...globals.node, ...globals.browser, ...globals.serviceworker },
      parserOptions: { project: null },
    },
    rules: {
      // To leave a field out of a rest is to name it.
      '@typescript-eslint/no-unused-vars': ['error', { argsIgnorePattern: '^_', ignoreRestSiblings: true }],
      '@typescript-eslint/no-extraneous-class': 'off',
    },
  },
  prettier,
)
