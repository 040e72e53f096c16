from studio.worker.child import main

main()
