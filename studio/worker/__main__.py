from studio.worker import main

main()
