import { createPinia } from 'pinia'
import { createApp } from 'vue'
import App from './App.vue'
import { i18n, startLocale } from './i18n'
import './lib/theme'
import { router } from './router'
import './tokens.css'

void startLocale().then(() => createApp(App).use(createPinia()).use(i18n).use(router).mount('#app'))
