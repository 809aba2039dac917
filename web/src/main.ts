/** Starts the page: language, stored wall, the other windows, then the app. */
import { createApp } from 'vue'
import App from './App.vue'
import { startI18n } from './i18n'
import { announceWindow } from './player/windows'
import { startWall } from './state/wall'
import './style.css'
import './wall.css'

startI18n()
startWall()
announceWindow()
createApp(App).mount('#app')
